/** The steps that set what this machine's Redis must promise, and that put back what was set before. Pure. Command line's process. */
import type { Facts } from './facts.js';
import type { Layout } from './layout.js';
import { writeFile, type Command, type Step } from './step.js';
import { REDIS_SETTINGS, redisInclude, settingsBefore, withLine, withoutLine } from './texts.js';

const SERVICE = 'redis-server.service';

/** By CONFIG SET, since a restart of a Redis with data and without a file of appended commands would start it empty. */
export function setRedis({ texts, redis }: Facts, layout: Layout): Step[] {
  const old = texts.redisConfig ?? '';
  const now = redis === 'stopped' ? undefined : redis;
  const title = 'set what Redis must promise';
  // What was set before the first installation, and not what that has set.
  const before = texts.redisInclude === undefined ? (now ?? {}) : settingsBefore(texts.redisInclude);
  const include = redisInclude(before);
  const stop = redis === 'stopped' ? { undo: [{ argv: ['systemctl', 'stop', SERVICE] }] } : {};
  return [
    ...writeFile({ path: layout.redisInclude, text: include, mode: '0644', old: texts.redisInclude, title }),
    ...writeFile({
      path: layout.redisConfig,
      text: withLine(old, `include ${layout.redisInclude}`),
      shown: `(as it is, and at its end:)\ninclude ${layout.redisInclude}`,
      mode: '0640',
      owner: 'redis',
      group: 'redis',
      old,
      title,
    }),
    { title, argv: ['systemctl', 'start', SERVICE], ...stop },
    ...REDIS_SETTINGS.filter(([name, value]) => now?.[name] !== value).map(([name, value]) => {
      const was = now?.[name];
      return { title, ...setting(name, value), ...(was === undefined ? {} : { undo: [setting(name, was)] }) };
    }),
  ];
}

/** The include goes, and the running Redis is set as it was, where nobody has changed it since. */
export function unsetRedis({ texts, redis }: Facts, layout: Layout): Step[] {
  const { redisInclude: include, redisConfig: old } = texts;
  if (include === undefined) return [];
  const title = 'take the settings out of the configuration of Redis';
  const line = `include ${layout.redisInclude}`;
  const steps: Step[] = [];
  if (old !== undefined) {
    steps.push(
      ...writeFile({
        path: layout.redisConfig,
        text: withoutLine(old, line),
        shown: `(as it is, without the line ${line})`,
        mode: '0640',
        owner: 'redis',
        group: 'redis',
        old,
        title,
      }),
    );
  }
  steps.push({ title, argv: ['rm', '-f', layout.redisInclude] });
  const before = settingsBefore(include);
  const back = ours(redis).flatMap(([name, value]) => {
    const was = before[name];
    return was === undefined || was === value ? [] : [setting(name, was)];
  });
  return [
    ...steps,
    ...back.map((command) => ({
      title: 'set the running Redis as it was before',
      ...command,
      optional: 'Redis may not run: at its next start it reads its own configuration',
    })),
  ];
}

/** What the running Redis keeps of ours after all, in words. */
export function keptSettings({ texts, redis }: Facts): string[] {
  if (texts.redisInclude === undefined) return [];
  const before = settingsBefore(texts.redisInclude);
  const unknown = ours(redis).filter(([name]) => before[name] === undefined);
  if (unknown.length === 0) return [];
  const settings = unknown.map((pair) => pair.join(' ')).join(', ');
  return [`the running Redis keeps ${settings} until its next start: what was set before is not known`];
}

function ours(redis: Facts['redis']): readonly (typeof REDIS_SETTINGS)[number][] {
  return redis === undefined || redis === 'stopped'
    ? []
    : REDIS_SETTINGS.filter(([name, value]) => redis[name] === value);
}

/** redis-cli ends with 0 also when Redis refuses. */
function setting(name: string, value: string): Command {
  const script = 'said=$(redis-cli config set "$0" "$1" 2>&1) && [ "$said" = OK ] || { echo "$said" >&2; exit 1; }';
  return { argv: ['sh', '-c', script, name, value] };
}
