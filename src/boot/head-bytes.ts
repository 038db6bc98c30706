/**
 * How long the head of a request may be. uWebSockets reads the variable when it is loaded, so this module is imported before it.
 * Main thread.
 */

/**
 * A browser sends the cookies of everything on its host, and an issuer's token that lists groups is some kilobytes long. With the
 * default of 4 KiB such a head is refused whenever it comes in two packets, and taken when it comes in one.
 */
const MAX_HEAD_BYTES = 16_384;

process.env['UWS_HTTP_MAX_HEADERS_SIZE'] ??= String(MAX_HEAD_BYTES);
