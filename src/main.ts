/** The process: configuration → engine; signals. Main thread. */
import pc from 'picocolors';
import { ownNames, readCertificate } from './shared/certificate.js';
import { loadConfig, type Config } from './shared/config.js';
import type { Engine } from './engine.js';
import { FairleadError, isFairleadError } from './shared/errors.js';
import { createLog, type Logger } from './shared/log.js';
import { logFatalErrors, logWarnings } from './shared/node-words.js';
import { openFilesLimit, openFilesWarning } from './shared/open-files.js';
import { ConfigFile } from './boot/config-file.js';
import { warningsOf } from './boot/config-warnings.js';
import { hideEnvironment } from './boot/environment.js';
import { ReloadNote } from './boot/reload-note.js';
import { writeServerNote } from './boot/server-note.js';
import { openServiceManager, type Service, type ServiceManager } from './boot/service-manager.js';
import { sayChecked } from './boot/start-words.js';
import { VERSION } from './shared/version.js';

/**
 * How long the stop may take beyond the drain before the process ends by force: more than all deadlines of the stop's steps
 * (engine.ts) together, of which saving workspaces and removing containers may take a minute each.
 */
export const STOP_MARGIN_MS = 140_000;

/** `fairlead serve`. Rejects with a FairleadError when it cannot start; returns once it listens. */
export async function serve(options: { checkConfig: boolean }): Promise<void> {
  const env = { ...process.env }; // a reload needs the variables that are hidden below
  const config = loadConfig(env);
  const warnings = warningsOf(config);
  if (options.checkConfig) {
    const { tls } = config.listen;
    if (tls) warnings.push(...readCertificate(tls, ownNames(config)).warnings);
    sayChecked(warnings);
    return;
  }
  const shown = hideEnvironment();
  if (shown !== undefined)
    warnings.push(`programs of this account can read the server's environment in /proc: ${shown}`);
  const files = openFilesWarning(openFilesLimit(), config.limits.maxConnections);
  if (files !== undefined) warnings.push(files);
  const log = createLog('main', config.logLevel);
  logWarnings(log);
  logFatalErrors(log);
  for (const warning of warnings) log.warn(warning);
  // Node's default would open the inspector, and with it all memory, to every program of this account.
  process.on('SIGUSR1', () => log.debug('SIGUSR1 is ignored: start the server with --inspect to debug it'));
  const file = new ConfigFile(config, env);
  const manager = await openServiceManager(log);
  manager.status('starting');
  // Loaded only now, so that --check-config loads no addon and starts no thread.
  const { startEngine } = await import('./engine.js');
  const stop = new AbortController();
  let waited = false;
  const onWait = (service: Service): void => {
    waited = true;
    manager.follow(service);
    const { url } = service;
    noteServer(config, url, log);
    log.info({ url }, `listening on ${url}; until all parts are there, only /healthz, /readyz and /metrics are served`);
  };
  const starting = startEngine(config, log, { signal: stop.signal, onWait, reread: () => file.read() });
  handleSignals({ config, log, starting, manager, stop });
  handleReload({ config, log, starting, manager });
  let engine: Engine;
  try {
    engine = await starting;
  } catch (error) {
    if (stop.signal.aborted) return; // the signal's handler ends the process
    throw error;
  }
  announce(engine, log, waited);
  if (waited) return;
  noteServer(config, engine.url, log);
  manager.follow(engine);
}

function noteServer({ dataDir }: Config, url: string, log: Logger): void {
  try {
    writeServerNote(dataDir, url);
  } catch (error) {
    log.warn({ err: (error as Error).message }, 'where the server listens cannot be written down for commands here');
  }
}

interface Signalled {
  config: Config;
  log: Logger;
  starting: Promise<Engine>;
  manager: ServiceManager;
  /** Ends a start that waits for a part. */
  stop: AbortController;
}

/** Without a handler Node would end the process, without a drain. A signal during the start waits for its end. */
function handleReload({ config, log, starting, manager }: Omit<Signalled, 'stop'>): void {
  const note = new ReloadNote(config.dataDir, log);
  process.on('SIGHUP', () => {
    const noted = note.begin();
    manager.reloading();
    starting
      .then((engine) => engine.reload())
      .then(
        (report) => noted.end({ report }),
        (error: unknown) => noted.end({ error }), // the log has it
      )
      .finally(() => manager.reloaded());
  });
}

/** The first signal drains, then exits with 0. The second ends at once; the next start removes what is left. */
function handleSignals({ config, log, starting, manager, stop }: Signalled): void {
  let stopping = false;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (stopping) {
      log.warn({ signal }, 'second signal: ending at once');
      process.exit(1);
    }
    stopping = true;
    const timer = setTimeout(() => {
      log.error('the stop took too long: ending by force');
      process.exit(1);
    }, config.listen.drainTimeoutMs + STOP_MARGIN_MS);
    timer.unref();
    manager.stopping();
    log.info({ signal, graceMs: config.listen.drainTimeoutMs }, 'stopping');
    stop.abort(new FairleadError('ERR_DRAINING', 'the server is stopping'));
    const stopped = starting.then(
      (engine) => engine.stop(),
      (error: unknown) => {
        if (!isFairleadError(error, 'ERR_DRAINING')) throw error;
      },
    );
    // A stop of a server that waits is over sooner than its line to systemd.
    stopped
      .finally(() => manager.told())
      .then(
        () => {
          log.info('stopped');
          process.exit(0);
        },
        (error: unknown) => {
          log.error({ err: error }, 'the stop failed');
          process.exit(1);
        },
      );
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
}

/** `listens`: that was said when the start had to wait. */
function announce(engine: Engine, log: Logger, listens: boolean): void {
  const { store, sandbox, model } = engine.parts;
  const { access } = engine;
  const warnings = [sandbox.warning, access.warning].filter((warning) => warning !== undefined);
  if (process.stdout.isTTY) {
    const rows = [
      pc.bold(`Fairlead ${VERSION}`),
      row('store', store.describe),
      row('sandbox', sandbox.describe),
      row('model', model.describe),
      row('auth', access.describe),
    ];
    if (access.newToken !== undefined) rows.push(row('', `${pc.bold(access.newToken)} (shown only this once)`));
    const link = engine.makeLoginLink();
    if (link === undefined) rows.push(row('console', `${engine.url}/`));
    else rows.push(row('console', `${link} opens it logged in, once, within 15 minutes`));
    for (const warning of warnings) rows.push('', pc.bold(pc.yellow(`  ! ${warning}`)));
    process.stdout.write(`\n${rows.join('\n')}\n\n`);
  } else {
    const described = {
      store: store.describe,
      sandbox: sandbox.describe,
      model: model.describe,
      auth: access.describe,
    };
    log.info({ version: VERSION, ...described }, 'parts');
    if (access.newToken !== undefined) log.info('this first start made a token, which only the file shows');
    for (const warning of warnings) log.warn(warning);
  }
  const { url, tools } = engine;
  log.info({ url, tools }, listens ? `all parts are there: serving at ${url}` : `listening on ${url}`);
}

function row(name: string, text: string): string {
  return `  ${pc.bold(name.padEnd(8))} ${text}`;
}
