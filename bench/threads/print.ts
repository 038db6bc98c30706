/** The command of the loud tool. */
export const PRINTED_BYTES = 100_000_000;
export const PRINT = `yes 0123456789abcdef | head -c ${PRINTED_BYTES}`;
