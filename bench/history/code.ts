/** Source code and diffs: functions of statements, with the names of the session's project. */
import type { Project } from './project.js';
import { sentence } from './prose.js';
import type { Random } from './random.js';

const TYPES = ['string', 'number', 'boolean', 'Buffer', 'string[]', 'unknown'];
const OPERATORS = ['===', '!==', '<', '>', '<=', '>='];

/** About this many characters of it. */
export function code(random: Random, project: Project, characters: number): string {
  const parts: string[] = Array.from({ length: random.int(0, 4) }, () => importLine(random, project));
  if (parts.length > 0) parts.push('');
  for (let length = 0; length < characters;) {
    const lines = functionLines(random, project);
    parts.push(...lines, '');
    length += lines.join('\n').length;
  }
  return parts.join('\n').trimEnd();
}

/** A file's changes as `git diff` shows them. */
export function diff(random: Random, project: Project, characters: number): string {
  const file = random.pickCommon(project.files);
  const parts = [
    `diff --git a/${file} b/${file}`,
    `index ${random.hex(7)}..${random.hex(7)} 100644`,
    `--- a/${file}`,
    `+++ b/${file}`,
  ];
  for (let length = 0, line = random.int(1, 40); length < characters; line += random.int(20, 120)) {
    const body = functionLines(random, project).flatMap((text) => {
      const fate = random.next();
      if (fate < 0.65) return [` ${text}`];
      if (fate < 0.8) return [`+${text}`];
      return fate < 0.88 ? [`-${text}`] : [`-${text}`, `+${statement(random, project, '  ')}`];
    });
    const count = (mark: string): number => body.filter((text) => !text.startsWith(mark)).length;
    const place = `-${line},${count('+')} +${line + random.int(0, 9)},${count('-')}`;
    parts.push(`@@ ${place} @@ ${signature(random, project)}`, ...body);
    length += body.join('\n').length;
  }
  return parts.join('\n');
}

/** `12\tconst …`, as a tool shows a file that is read. */
export function numbered(text: string): string {
  return text
    .split('\n')
    .map((line, index) => `${String(index + 1).padStart(6)}\t${line}`)
    .join('\n');
}

function importLine(random: Random, project: Project): string {
  const names = Array.from({ length: random.int(1, 3) }, () => random.pickCommon(project.functions));
  return `import { ${[...new Set(names)].join(', ')} } from './${random.pickCommon(project.files).replace(/\.\w+$/, '.js')}';`;
}

function signature(random: Random, project: Project): string {
  const args = Array.from(
    { length: random.int(0, 3) },
    () => `${random.pickCommon(project.variables)}: ${type(random, project)}`,
  );
  const isAsync = random.chance(0.4);
  const result = type(random, project);
  const returned = isAsync ? `Promise<${result}>` : result;
  return `${isAsync ? 'async ' : ''}function ${random.pickCommon(project.functions)}(${args.join(', ')}): ${returned} {`;
}

function functionLines(random: Random, project: Project): string[] {
  const lines: string[] = [];
  if (random.chance(0.3)) lines.push(`/** ${sentence(random, project)} */`);
  lines.push(`${random.chance(0.5) ? 'export ' : ''}${signature(random, project)}`);
  for (let left = random.size(6, 0.6); left > 0; left--) {
    if (random.chance(0.2)) {
      lines.push(`  ${opening(random, project)}`);
      for (let inner = random.int(1, 3); inner > 0; inner--) lines.push(statement(random, project, '    '));
      lines.push('  }');
    } else {
      lines.push(statement(random, project, '  '));
    }
  }
  lines.push(`  return ${expression(random, project)};`, '}');
  return lines;
}

function opening(random: Random, project: Project): string {
  const variable = random.pickCommon(project.variables);
  return random.chance(0.6)
    ? `if (${condition(random, project)}) {`
    : `for (const ${random.pickCommon(project.variables)} of ${variable}) {`;
}

function statement(random: Random, project: Project, indent: string): string {
  const variable = random.pickCommon(project.variables);
  const kind = random.next();
  if (kind < 0.08) return `${indent}// ${sentence(random, project)}`;
  if (kind < 0.5) return `${indent}const ${variable} = ${expression(random, project)};`;
  if (kind < 0.65) return `${indent}if (${condition(random, project)}) return ${expression(random, project)};`;
  if (kind < 0.75)
    return `${indent}if (${condition(random, project)}) throw new Error('${sentence(random, project)}');`;
  if (kind < 0.9) return `${indent}${call(random, project)};`;
  return `${indent}${variable}.${random.pickCommon(project.fields)} = ${expression(random, project)};`;
}

function condition(random: Random, project: Project): string {
  return `${access(random, project)} ${random.pick(OPERATORS)} ${literal(random, project)}`;
}

function expression(random: Random, project: Project): string {
  const kind = random.next();
  if (kind < 0.35) return `${random.chance(0.4) ? 'await ' : ''}${call(random, project)}`;
  if (kind < 0.6) return access(random, project);
  if (kind < 0.75) return literal(random, project);
  if (kind < 0.9)
    return `{ ${random.pickCommon(project.variables)}, ${random.pickCommon(project.fields)}: ${access(random, project)} }`;
  return `${access(random, project)} ?? ${literal(random, project)}`;
}

function call(random: Random, project: Project): string {
  const args = Array.from({ length: random.int(0, 3) }, () => access(random, project));
  return `${random.pickCommon(project.functions)}(${args.join(', ')})`;
}

function access(random: Random, project: Project): string {
  const variable = random.pickCommon(project.variables);
  return random.chance(0.4) ? `${variable}.${random.pickCommon(project.fields)}` : variable;
}

function literal(random: Random, project: Project): string {
  const kind = random.next();
  if (kind < 0.4) return String(random.size(20, 1.5));
  if (kind < 0.7) return `'${project.noun(random)}'`;
  return random.pick(['true', 'false', 'undefined', 'null', '[]', "''", '0']);
}

function type(random: Random, project: Project): string {
  return random.chance(0.5) ? random.pick(TYPES) : random.pickCommon(project.types);
}
