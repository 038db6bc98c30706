/**
 * Keeps SIGUSR1 from opening Node's inspector, through which anybody in the sandbox could run code in this process. Imported
 * first, for its effect. The image also gives the inspector an address that no interface has, for the moment before this runs.
 */
process.on('SIGUSR1', () => undefined);
