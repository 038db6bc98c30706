/** Reads an environment file of systemd: NAME=value a line, without a shell's rules. Pure. */

/** As the command `fairlead` of a release reads it: comments and what is no assignment are left out, and one pair of quotes goes. */
export function parseEnvironmentFile(text: string): NodeJS.ProcessEnv {
  const values: NodeJS.ProcessEnv = {};
  for (const line of text.split('\n')) {
    const [, name = '', value = ''] = /^\s*([A-Za-z_]\w*)=(.*?)\s*$/.exec(line) ?? [];
    if (name !== '') values[name] = /^(["'])(.*)\1$/.exec(value)?.[2] ?? value;
  }
  return values;
}
