/* A leg on a microcontroller: three encoders and a pelvis IMU go out 500 times a second, torque commands come in.
 *
 * The functions board_* are yours to write; everything else runs as it is on any processor. leg_setup() is called once and
 * leg_loop() for ever. Nothing here waits: a loop that hangs starves the hardware watchdog, and the motors go limp.
 */
#include "emsk_frame.h"

#define JOINTS 3u /* hip, knee, ankle */
#define PERIOD_US 2000u
#define MOST_TORQUE_NM 15.0f /* what the wearer can resist; edge-msk has limits of its own */

uint32_t board_micros(void); /* wraps after 2^32 us */
int board_read_encoders(float rad[JOINTS]); /* 0: a fault; rad stays finite */
int board_read_imu(float quaternion[4], float force_mps2[3], float rate_rad_s[3]); /* the same */
int board_uart_is_idle(void); /* the last transfer is done */
void board_uart_send(const uint8_t *bytes, size_t n); /* by DMA: returns at once */
int board_uart_receive(uint8_t *byte); /* 0: none there */
void board_set_torque(unsigned joint, float nm);
void board_feed_watchdog(void);

void leg_setup(void);
void leg_loop(void);

static struct emsk_sender sender;
static struct emsk_clock sensor_clock;
static struct emsk_receiver receiver;
static struct emsk_command command; /* zeros: disarmed, no torque */
static uint32_t command_us;
static uint32_t due_us;
static uint8_t line[EMSK_FRAME_BYTES(JOINTS) + EMSK_FRAME_BYTES(10u)];

static void send_sample(void)
{
    float rad[JOINTS] = {0}, quaternion[4] = {0}, force[3] = {0}, rate[3] = {0};
    const uint64_t now_us = emsk_time_us(&sensor_clock, board_micros()); /* of the measurement */
    const unsigned no_angles = board_read_encoders(rad) ? 0u : (unsigned)EMSK_FAULT_FLAG;
    const unsigned no_imu = board_read_imu(quaternion, force, rate) ? 0u : (unsigned)EMSK_FAULT_FLAG;
    size_t n = emsk_angles(&sender, line, sizeof line, no_angles, now_us, rad, JOINTS);

    n += emsk_imu(&sender, line + n, sizeof line - n, no_imu, now_us, quaternion, force, rate);
    board_uart_send(line, n);
}

void leg_setup(void)
{
    emsk_receiver_init(&receiver);
    due_us = board_micros();
}

void leg_loop(void)
{
    uint8_t byte;
    unsigned joint;

    /* `line` belongs to the DMA until the transfer is done. */
    if ((int32_t)(board_micros() - due_us) >= 0 && board_uart_is_idle()) {
        send_sample();
        do {
            due_us += PERIOD_US; /* what the line had no time for is left out */
        } while ((int32_t)(board_micros() - due_us) >= 0);
    }
    while (board_uart_receive(&byte)) {
        if (emsk_receive(&receiver, byte, &command)) {
            command_us = board_micros();
        }
    }
    for (joint = 0; joint < JOINTS; joint++) {
        float nm = emsk_torque_nm(&command, joint, board_micros() - command_us);
        nm = nm > MOST_TORQUE_NM ? MOST_TORQUE_NM : nm < -MOST_TORQUE_NM ? -MOST_TORQUE_NM : nm;
        board_set_torque(joint, nm);
    }
    board_feed_watchdog();
}
