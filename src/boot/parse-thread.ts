/** Checks a configuration beside the main thread: of thousands of users that takes longer than people would not notice. A thread of its own, for one file. */
import { parentPort, workerData } from 'node:worker_threads';
import { ConfigError, configOf, parseConfig, type Config } from '../shared/config.js';
import type { Parsed, ToParse } from './parse-aside.js';

const { bytes, file, env, cwd } = workerData as ToParse;

function parse(): Config {
  return bytes ? configOf(Buffer.from(bytes), file, env, cwd) : parseConfig({}, env, cwd);
}

function parsed(): Parsed {
  try {
    return { config: parse() };
  } catch (error) {
    if (error instanceof ConfigError) return { problems: error.problems };
    throw error;
  }
}

parentPort?.postMessage(parsed());
