/* emsk_frame.h: the wire protocol `emsk`, version 1, for microcontrollers. C99, also C++.
 *
 * One header, nothing to link. No heap, no floating-point arithmetic, no standard library but memcpy; bytes are written one by
 * one, so the byte order of the processor does not matter. `float` must be IEEE 754 binary32. The protocol is described in
 * docs/wire-protocol.md of edge-msk; the tests of edge-msk hold this file against its own encoder and decoder byte for byte.
 *
 * SENDING, from a loop, with DMA
 *
 *     static struct emsk_sender sender;                     // zeros: sequence numbers start at 0
 *     static struct emsk_clock clock_us;
 *     static uint8_t line[2][EMSK_FRAME_BYTES(3) + EMSK_FRAME_BYTES(10)];
 *     static int turn;
 *
 *     uint64_t t = emsk_time_us(&clock_us, micros());       // at the measurement, not at the sending
 *     read_encoders(rad);  read_imu(quaternion, force, rate);
 *     uint8_t *out = line[turn ^= 1];                       // the other half may still be on its way
 *     size_t n = emsk_angles(&sender, out, sizeof line[0], 0, t, rad, 3);
 *     n += emsk_imu(&sender, out + n, sizeof line[0] - n, 0, t, quaternion, force, rate);
 *     uart_dma_send(out, n);                                // returns at once
 *
 * A DMA transfer reads the buffer until its transfer-complete interrupt: never encode into it before. With two halves the
 * line must be free once per sample: a leg's two frames are 92 bytes at most, 1 ms at 921600 baud. On a processor with a data
 * cache, clean the buffer's lines before the transfer, or place it in memory that is not cached.
 *
 * Encoding takes some 20 instructions a byte and no lock. It may run in an interrupt, as long as one `emsk_sender` is used
 * from one place only. What is measured in an interrupt is best stamped there and encoded in the loop.
 *
 * RECEIVING COMMANDS, byte by byte, from the receive interrupt or from the loop: see `emsk_receive`.
 *
 * THE ACTUATOR NEEDS A WATCHDOG OF ITS OWN. Commands come at the model's rate, at least every 30 ms. When they stop, for
 * whatever reason, the actuator must go limp by itself: take torques through `emsk_torque_nm`, which gives 0 once the last
 * command is EMSK_COMMAND_TIMEOUT_US old, and feed a hardware watchdog from the loop that calls it, so that a loop that
 * hangs goes limp too. Limit the torque to what the wearer can resist, here and not only in edge-msk.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EMSK_FRAME_H
#define EMSK_FRAME_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EMSK_VERSION 1u
#define EMSK_MAX_CHANNELS 128u

/* Joints of a command that are kept; longer commands are counted as unusable. May be defined before this file. */
#ifndef EMSK_COMMAND_JOINTS
#define EMSK_COMMAND_JOINTS 8u
#endif

/* A command is obeyed for so long. edge-msk sends one at least every 30 ms; a stall of its line delayed one by 113 ms. */
#ifndef EMSK_COMMAND_TIMEOUT_US
#define EMSK_COMMAND_TIMEOUT_US 100000u
#endif

/* Bytes before COBS, and the most on the line with COBS and the closing 0x00, of a frame of n channels. */
#define EMSK_RAW_BYTES(n) (18u + 4u * (n))
#define EMSK_FRAME_BYTES(n) (EMSK_RAW_BYTES(n) + EMSK_RAW_BYTES(n) / 254u + 2u)

enum {
    EMSK_ANGLES = 0x01,          /* joint angles, rad, in the order of the model's joints */
    EMSK_IMU = 0x02,             /* 10 per sensor: quaternion w x y z, specific force m/s2, angular rate rad/s */
    EMSK_EMG = 0x03,             /* one per muscle: envelope 0 to 1, or V */
    EMSK_GROUND_REACTION = 0x04, /* 3 per foot: F_x N, F_y N, centre of pressure m from the ankle, forward positive */
    EMSK_COMMAND = 0x81,         /* torque per joint, Nm */
    EMSK_BIOFEEDBACK = 0x82      /* activation per muscle, 0 to 1 */
};

enum { EMSK_FAULT_FLAG = 1 }; /* kinds 0x01 to 0x04: the sensor reports a fault, and the frame is not to be used */

enum { EMSK_DISARMED = 0, EMSK_ARMED = 1, EMSK_ACTIVE = 2, EMSK_FAULT = 3 }; /* the state: flags of 0x81 and 0x82 */

/* Compiles only where float has four bytes. */
typedef char emsk_float_has_four_bytes[sizeof(float) == 4 ? 1 : -1];

/* CRC-16/CCITT-FALSE, one byte on; starts at 0xFFFF. Eight steps of the polynomial 0x1021 at once, without a table. */
static inline uint16_t emsk_crc16(uint16_t crc, uint8_t byte)
{
    uint32_t x = ((uint32_t)crc >> 8) ^ byte;
    x ^= x >> 4;
    return (uint16_t)(((uint32_t)crc << 8) ^ (x << 12) ^ (x << 5) ^ x);
}

static inline uint32_t emsk_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline int emsk_is_finite(float value)
{
    return (emsk_bits(value) & 0x7F800000u) != 0x7F800000u;
}

/* --- time ------------------------------------------------------------------------------------------------------------- */

/* Microseconds that do not wrap, from a 32-bit counter of microseconds that does (after 71.6 minutes). Start with zeros. */
struct emsk_clock {
    uint64_t time_us;
    uint32_t last;
};

/* Call at least once per wrap, from one place. Stamps are at most as good as the counter: run it from a quartz. */
static inline uint64_t emsk_time_us(struct emsk_clock *clock, uint32_t counter)
{
    clock->time_us += (uint32_t)(counter - clock->last);
    clock->last = counter;
    return clock->time_us;
}

/* --- sending ---------------------------------------------------------------------------------------------------------- */

/* COBS and CRC of one frame, as its bytes are written. */
struct emsk_writer {
    uint8_t *out;
    size_t code; /* where the length of the present group goes */
    size_t at;
    uint16_t crc;
};

static inline void emsk_put(struct emsk_writer *w, uint8_t byte)
{
    w->crc = emsk_crc16(w->crc, byte);
    /* A full group is closed only when another byte follows it. */
    if (w->at - w->code == 255u) {
        w->out[w->code] = 0xFFu;
        w->code = w->at++;
    }
    if (byte == 0u) {
        w->out[w->code] = (uint8_t)(w->at - w->code);
        w->code = w->at++;
    } else {
        w->out[w->at++] = byte;
    }
}

static inline void emsk_put_u32(struct emsk_writer *w, uint32_t value)
{
    unsigned shift;
    for (shift = 0; shift < 32u; shift += 8u) {
        emsk_put(w, (uint8_t)(value >> shift));
    }
}

static inline int emsk_kind_is_known(unsigned kind)
{
    return (kind >= EMSK_ANGLES && kind <= EMSK_GROUND_REACTION) || kind == EMSK_COMMAND || kind == EMSK_BIOFEEDBACK;
}

/* Write one frame to `out`, closing 0x00 included. Returns its bytes; 0, with nothing to send, where the kind is none of the
 * above, n is not 1 to 128, `size` is less than EMSK_FRAME_BYTES(n), or a channel is NaN or infinite: a sensor that
 * failed sends zeros with EMSK_FAULT_FLAG. The sequence number is the caller's: +1 per frame of a kind. */
static inline size_t emsk_encode(uint8_t *out, size_t size, unsigned kind, unsigned flags, uint32_t sequence,
                                 uint64_t time_us, const float *channels, unsigned n)
{
    struct emsk_writer w;
    uint16_t crc;
    unsigned i;

    if (!emsk_kind_is_known(kind) || flags > 0xFFu || n < 1u || n > EMSK_MAX_CHANNELS || size < EMSK_FRAME_BYTES(n)) {
        return 0;
    }
    for (i = 0; i < n; i++) {
        if (!emsk_is_finite(channels[i])) {
            return 0;
        }
    }
    w.out = out;
    w.code = 0;
    w.at = 1;
    w.crc = 0xFFFFu;
    emsk_put(&w, (uint8_t)kind);
    emsk_put(&w, (uint8_t)flags);
    emsk_put(&w, (uint8_t)n);
    emsk_put(&w, (uint8_t)EMSK_VERSION);
    emsk_put_u32(&w, sequence);
    emsk_put_u32(&w, (uint32_t)time_us);
    emsk_put_u32(&w, (uint32_t)(time_us >> 32));
    for (i = 0; i < n; i++) {
        emsk_put_u32(&w, emsk_bits(channels[i]));
    }
    crc = w.crc;
    emsk_put(&w, (uint8_t)crc);
    emsk_put(&w, (uint8_t)(crc >> 8));
    w.out[w.code] = (uint8_t)(w.at - w.code);
    w.out[w.at++] = 0u;
    return w.at;
}

/* The next sequence number of each kind. Start with zeros; one sender is used from one place (loop or interrupt) only. */
struct emsk_sender {
    uint32_t next[6];
};

/* `emsk_encode` with the sender's own sequence numbers. One goes on only when a frame was written. */
static inline size_t emsk_send(struct emsk_sender *sender, uint8_t *out, size_t size, unsigned kind, unsigned flags,
                               uint64_t time_us, const float *channels, unsigned n)
{
    uint32_t *next;
    size_t bytes;

    if (!emsk_kind_is_known(kind)) {
        return 0;
    }
    next = &sender->next[kind < EMSK_COMMAND ? kind - EMSK_ANGLES : kind - EMSK_COMMAND + 4u];
    bytes = emsk_encode(out, size, kind, flags, *next, time_us, channels, n);
    *next += bytes != 0u;
    return bytes;
}

/* Joint angles, rad: a leg's are hip flexion, knee extension, ankle dorsiflexion positive (a flexed knee is negative). */
static inline size_t emsk_angles(struct emsk_sender *sender, uint8_t *out, size_t size, unsigned flags, uint64_t time_us,
                                 const float *rad, unsigned n)
{
    return emsk_send(sender, out, size, EMSK_ANGLES, flags, time_us, rad, n);
}

/* One IMU: quaternion w x y z from the sensor's axes to the world's (x forward, y up), or `0 0 0 0` where the sensor
 * estimates none; specific force with gravity in it (at rest +9.81 m/s2 upwards) and angular rate in rad/s, in the sensor's
 * axes. Several IMUs go into one frame with `emsk_send`, 10 channels each. */
static inline size_t emsk_imu(struct emsk_sender *sender, uint8_t *out, size_t size, unsigned flags, uint64_t time_us,
                              const float quaternion[4], const float force_mps2[3], const float rate_rad_s[3])
{
    float channels[10];
    memcpy(channels, quaternion, 4 * sizeof(float));
    memcpy(channels + 4, force_mps2, 3 * sizeof(float));
    memcpy(channels + 7, rate_rad_s, 3 * sizeof(float));
    return emsk_send(sender, out, size, EMSK_IMU, flags, time_us, channels, 10);
}

/* --- receiving commands ------------------------------------------------------------------------------------------------ */

struct emsk_command {
    uint64_t time_us; /* the sender's clock, not this one's */
    uint32_t sequence;
    uint8_t state; /* EMSK_DISARMED, _ARMED, _ACTIVE, _FAULT */
    uint8_t n;     /* joints */
    float torque_nm[EMSK_COMMAND_JOINTS];
};

/* Start with zeros, or with `emsk_receiver_init`. */
struct emsk_receiver {
    uint8_t raw[EMSK_RAW_BYTES(EMSK_COMMAND_JOINTS)];
    uint16_t length;   /* bytes of `raw`; one more than fit once there were too many */
    uint8_t code;      /* of the present COBS group; 0 before the first */
    uint8_t remaining; /* bytes until the next code */
    uint8_t heard;     /* a command was received: `sequence` is its number */
    uint32_t sequence;
    uint32_t commands; /* counters: handed on, */
    uint32_t others;   /* good or bad, but of another kind or longer than a command is kept, */
    uint32_t damaged;  /* commands with a wrong COBS, length, version or CRC, or with a channel that is not finite, */
    uint32_t repeated; /* commands with the sequence number of the one before */
};

static inline void emsk_receiver_init(struct emsk_receiver *r)
{
    memset(r, 0, sizeof *r);
}

static inline void emsk_receiver_store(struct emsk_receiver *r, uint8_t byte)
{
    if (r->length < sizeof r->raw) {
        r->raw[r->length++] = byte;
    } else {
        r->length = (uint16_t)(sizeof r->raw + 1u);
    }
}

static inline uint32_t emsk_get_u32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

/* What the bytes between two 0x00 are: 1 and `*command` where they are a new command. */
static inline int emsk_receiver_close(struct emsk_receiver *r, int whole, struct emsk_command *command)
{
    const uint8_t *raw = r->raw;
    const unsigned length = r->length;
    uint16_t crc = 0xFFFFu;
    unsigned i;

    if (length > sizeof r->raw || length == 0u || raw[0] != EMSK_COMMAND) {
        r->others++;
        return 0;
    }
    if (!whole || length < EMSK_RAW_BYTES(1u) || length != EMSK_RAW_BYTES((unsigned)raw[2]) || raw[3] != EMSK_VERSION) {
        r->damaged++;
        return 0;
    }
    for (i = 0; i < length - 2u; i++) {
        crc = emsk_crc16(crc, raw[i]);
    }
    if (raw[length - 2u] != (uint8_t)crc || raw[length - 1u] != (uint8_t)(crc >> 8)) {
        r->damaged++;
        return 0;
    }
    for (i = 0; i < raw[2]; i++) {
        const uint32_t bits = emsk_get_u32(raw + 16u + 4u * i);
        if ((bits & 0x7F800000u) == 0x7F800000u) {
            r->damaged++;
            return 0;
        }
    }
    if (r->heard && emsk_get_u32(raw + 4) == r->sequence) {
        r->repeated++;
        return 0;
    }
    r->heard = 1;
    r->sequence = emsk_get_u32(raw + 4);
    r->commands++;
    command->sequence = r->sequence;
    command->time_us = (uint64_t)emsk_get_u32(raw + 8) | (uint64_t)emsk_get_u32(raw + 12) << 32;
    command->state = raw[1];
    command->n = raw[2];
    for (i = 0; i < EMSK_COMMAND_JOINTS; i++) {
        const uint32_t bits = i < raw[2] ? emsk_get_u32(raw + 16u + 4u * i) : 0u;
        memcpy(&command->torque_nm[i], &bits, sizeof bits);
    }
    return 1;
}

/* Take one byte of the line. Returns 1 when it completes a good command, which is then in `*command`; `*command` is left alone
 * otherwise. Note the time at which this returned 1: the age of the command is counted from there.
 *
 *     while (uart_read(&byte)) {
 *         if (emsk_receive(&receiver, byte, &command)) {
 *             received_us = micros();
 *         }
 *     }
 *     set_torque(emsk_torque_nm(&command, 0, micros() - received_us));     // `command` starts as zeros
 *
 * Where bytes are taken in an interrupt, hand the completed command to the loop with interrupts masked. */
static inline int emsk_receive(struct emsk_receiver *r, uint8_t byte, struct emsk_command *command)
{
    if (byte == 0u) {
        const int any = r->code != 0u;
        const int good = any && emsk_receiver_close(r, r->remaining == 0u, command);
        r->length = 0;
        r->code = 0;
        r->remaining = 0;
        return good;
    }
    if (r->remaining != 0u) {
        r->remaining--;
        emsk_receiver_store(r, byte);
        return 0;
    }
    if (r->code != 0u && r->code != 0xFFu) {
        emsk_receiver_store(r, 0u);
    }
    r->code = byte;
    r->remaining = (uint8_t)(byte - 1u);
    return 0;
}

/* Torque to apply at a joint, Nm: that of the command while it is fresh and the state is active, or a fault that is being ramped
 * down; otherwise 0. age_us: since the command was received, by this processor's clock. A command that has become too old is
 * disarmed for good, so that it does not look fresh again when the counter of microseconds has wrapped. */
static inline float emsk_torque_nm(struct emsk_command *command, unsigned joint, uint32_t age_us)
{
    if (age_us >= EMSK_COMMAND_TIMEOUT_US) {
        command->state = EMSK_DISARMED;
    }
    if (joint >= command->n || joint >= EMSK_COMMAND_JOINTS ||
        (command->state != EMSK_ACTIVE && command->state != EMSK_FAULT)) {
        return 0.0f;
    }
    return command->torque_nm[joint];
}

#ifdef __cplusplus
}
#endif

#endif /* EMSK_FRAME_H */
