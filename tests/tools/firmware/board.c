/* A board for example_leg.c whose time passes 100 us per round. stdin: one byte a round, 0 or 1, and where it is 1 the length (u8)
 * and the bytes that arrive. stdout: per transfer 'F', its length (u8) and bytes; per round 'T' and three float torques. */
#include <stdio.h>
#include <stdlib.h>

#include "emsk_frame.h"

void leg_setup(void);
void leg_loop(void);
uint32_t board_micros(void);
int board_read_encoders(float rad[3]);
int board_read_imu(float quaternion[4], float force_mps2[3], float rate_rad_s[3]);
int board_uart_is_idle(void);
void board_uart_send(const uint8_t *bytes, size_t n);
int board_uart_receive(uint8_t *byte);
void board_set_torque(unsigned joint, float nm);
void board_feed_watchdog(void);

static uint32_t now_us = 0xFFFFF000u; /* wraps soon */
static uint32_t busy_until_us = 0xFFFFF000u;
static uint8_t arrived[255];
static unsigned at, count;
static float torque[3];
static unsigned fed, samples;

uint32_t board_micros(void)
{
    return now_us;
}

int board_read_encoders(float rad[3])
{
    rad[0] = 0.25f;
    rad[1] = -0.5f;
    rad[2] = (float)samples++;
    return 1;
}

int board_read_imu(float quaternion[4], float force_mps2[3], float rate_rad_s[3])
{
    quaternion[0] = 1.0f;
    force_mps2[1] = 9.81f;
    rate_rad_s[2] = 0.125f;
    return samples % 10u != 0u;
}

int board_uart_is_idle(void)
{
    return (int32_t)(now_us - busy_until_us) >= 0;
}

void board_uart_send(const uint8_t *bytes, size_t n)
{
    const uint8_t length = (uint8_t)n;
    if (!board_uart_is_idle()) {
        exit(4);
    }
    busy_until_us = now_us + (uint32_t)(n * 1000000u / 92160u);
    putchar('F');
    fwrite(&length, 1, 1, stdout);
    fwrite(bytes, 1, n, stdout);
}

int board_uart_receive(uint8_t *byte)
{
    if (at == count) {
        return 0;
    }
    *byte = arrived[at++];
    return 1;
}

void board_set_torque(unsigned joint, float nm)
{
    torque[joint] = nm;
}

void board_feed_watchdog(void)
{
    fed++;
}

int main(void)
{
    int some;
    unsigned rounds = 0;

    leg_setup();
    while ((some = getchar()) != EOF) {
        at = count = 0;
        if (some == 1) {
            count = (unsigned)getchar();
            if (fread(arrived, 1, count, stdin) != count) {
                return 3;
            }
        }
        leg_loop();
        rounds++;
        putchar('T');
        fwrite(torque, sizeof(float), 3, stdout);
        now_us += 100u;
    }
    return fed == rounds ? 0 : 5;
}
