/**
 * Loaded into each test file's process after tap's own hooks: what a test starts is started as an operator would start it.
 * Without coverage the hooks are for nothing, and cost every process, and every thread in it, half a second of a processor.
 */
import processOnSpawn from 'process-on-spawn';

processOnSpawn.removeAllListeners(); // tap's one puts NODE_OPTIONS back into whatever environment a test gives
delete process.env['NODE_OPTIONS'];
