/** Does the generated text compress like real text? Compared with this repository's documents and sources. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import lz4 from 'lz4';
import type { Table } from '../suite/bench.js';
import { ROOT } from '../suite/result.js';
import { code } from './code.js';
import { Project } from './project.js';
import { prose } from './prose.js';
import { Random } from './random.js';

const SAMPLE_CHARACTERS = 32 * 1024;
/** The largest difference allowed. */
const ALIKE = 0.25;

interface Likeness {
  kind: string;
  real: Sizes;
  made: Sizes;
}

/** Compression ratio. */
interface Sizes {
  gzip: number;
  lz4: number;
}

export async function likeness(seed: number): Promise<{ table: Table; doubts: string[] }> {
  const random = new Random(seed);
  const project = new Project(random);
  const found: Likeness[] = [
    {
      kind: 'prose',
      real: sizesOf(await textOf('docs', '.md')),
      made: sizesOf(prose(random, project, SAMPLE_CHARACTERS)),
    },
    {
      kind: 'code',
      real: sizesOf(await textOf('workers/agent', '.ts')),
      made: sizesOf(code(random, project, SAMPLE_CHARACTERS)),
    },
  ];
  const rows = found.map(({ kind, real, made }) => [kind, made.gzip, real.gzip, made.lz4, real.lz4]);
  const head = ['32 KiB of', 'made: gzip ×', 'real: gzip ×', 'made: lz4 ×', 'real: lz4 ×'];
  const doubts = found
    .filter(({ real, made }) => Math.abs(made.lz4 / real.lz4 - 1) > ALIKE)
    .map(
      ({ kind, real, made }) =>
        `the generated ${kind} gets ${made.lz4.toFixed(1)} × smaller with lz4, real ${kind} ${real.lz4.toFixed(1)} ×: bytes are off by as much`,
    );
  return {
    table: { title: 'Generated and real text (this repository’s): how many times smaller', head, rows },
    doubts,
  };
}

/** Files of a folder, one after the other, up to the sample's size. */
async function textOf(folder: string, ending: string): Promise<string> {
  const names = (await readdir(join(ROOT, folder))).filter((name) => name.endsWith(ending)).sort();
  let text = '';
  for (const name of names) {
    if (text.length >= SAMPLE_CHARACTERS) break;
    text += await readFile(join(ROOT, folder, name), 'utf8');
  }
  return text;
}

function sizesOf(text: string): Sizes {
  const bytes = Buffer.from(text.slice(0, SAMPLE_CHARACTERS));
  const packed = lz4.encodeBlock(bytes, Buffer.alloc(lz4.encodeBound(bytes.length)));
  return { gzip: bytes.length / gzipSync(bytes).length, lz4: bytes.length / packed };
}
