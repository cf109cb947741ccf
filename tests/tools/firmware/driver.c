/* What the tests ask of emsk_frame.h: records of native numbers on stdin, answers on stdout. The first argument is the question. */
#include <stdio.h>
#include <stdlib.h>

#include "emsk_frame.h"

static int get(void *to, size_t n)
{
    return fread(to, 1, n, stdin) == n;
}

static void put(const void *from, size_t n)
{
    if (fwrite(from, 1, n, stdout) != n) {
        exit(3);
    }
}

struct request {
    uint64_t time_us;
    uint32_t sequence;
    uint32_t size; /* of the buffer; 0: as large as the header says */
    uint16_t kind, flags, n, spare;
};

static void encode(int with_sender)
{
    struct emsk_sender sender;
    struct request q;
    float channels[256];

    memset(&sender, 0, sizeof sender);
    while (get(&q, sizeof q) && get(channels, q.n * sizeof(float))) {
        const size_t size = q.size ? q.size : EMSK_FRAME_BYTES(q.n);
        uint8_t *out = (uint8_t *)malloc(size); /* of just this size: a sanitizer sees what goes beyond */
        size_t n;
        uint16_t length;
        if (!with_sender) {
            n = emsk_encode(out, size, q.kind, q.flags, q.sequence, q.time_us, channels, q.n);
        } else if (q.kind == EMSK_ANGLES) {
            n = emsk_angles(&sender, out, size, q.flags, q.time_us, channels, q.n);
        } else if (q.kind == EMSK_IMU && q.n == 10) {
            n = emsk_imu(&sender, out, size, q.flags, q.time_us, channels, channels + 4, channels + 7);
        } else {
            n = emsk_send(&sender, out, size, q.kind, q.flags, q.time_us, channels, q.n);
        }
        length = (uint16_t)n;
        put(&length, sizeof length);
        put(out, n);
        free(out);
    }
}

static void receive(void)
{
    struct emsk_receiver r;
    struct emsk_command c;
    uint8_t byte, tag = 1;

    emsk_receiver_init(&r);
    while (get(&byte, 1)) {
        if (emsk_receive(&r, byte, &c)) {
            put(&tag, 1);
            put(&c.time_us, 8);
            put(&c.sequence, 4);
            put(&c.state, 1);
            put(&c.n, 1);
            put(c.torque_nm, c.n * sizeof(float));
        }
    }
    tag = 0;
    put(&tag, 1);
    put(&r.commands, 4);
    put(&r.others, 4);
    put(&r.damaged, 4);
    put(&r.repeated, 4);
}

static void tell_time(void)
{
    struct emsk_clock clock = {0, 0};
    uint32_t counter;

    while (get(&counter, sizeof counter)) {
        const uint64_t t = emsk_time_us(&clock, counter);
        put(&t, sizeof t);
    }
}

int main(int argc, char **argv)
{
    switch (argc > 1 ? argv[1][0] : '?') {
    case 'e': encode(0); break;
    case 's': encode(1); break;
    case 'r': receive(); break;
    case 't': tell_time(); break;
    default: return 2;
    }
    return 0;
}
