/** The server's address where neither the command line nor the configuration names one. Command line's process. */
export const DEFAULT_URL = 'http://127.0.0.1:3000';
export const URL_HELP = 'the server’s address (default: that of this machine’s configuration)';
