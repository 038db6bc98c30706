/** The stand-in model of this bench in a process of its own: answers as the script says, and holds answers until it is told. */
import { startModelServer } from '../../test/helpers/model-server.js';
import { deferred } from '../../test/helpers/processes.js';
import { serve } from '../threads/serve.js';
import type { ModelContract } from './messages.js';
import { replyTo } from './script.js';

let file = '';
let released = deferred<null>();

const server = await startModelServer({
  keep: 0,
  betas: true,
  script: ({ body }) => replyTo(body, file, released.promise),
});

serve<ModelContract>({
  open: (body) => {
    file = body.file;
    return Promise.resolve({ url: server.url });
  },
  release: () => {
    released.resolve(null);
    released = deferred();
    return Promise.resolve(null);
  },
  violations: () => Promise.resolve(server.violations.splice(0)),
});
