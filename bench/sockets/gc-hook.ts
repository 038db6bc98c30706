/** Preloaded into a measured server, in each of its threads: at SIGUSR2 all collect their garbage, so that memory is what is held. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { BroadcastChannel, isMainThread } from 'node:worker_threads';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
// Signals reach the main thread only.
const channel = new BroadcastChannel('bench-collect');
channel.unref();
if (isMainThread) {
  process.on('SIGUSR2', () => {
    channel.postMessage(null);
    collect();
  });
} else {
  channel.onmessage = () => collect();
}
