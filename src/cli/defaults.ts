/** The server's address where the command line names none. Command line's process. */
export const DEFAULT_URL = 'http://127.0.0.1:3000';
