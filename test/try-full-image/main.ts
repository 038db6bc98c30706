/**
 * `npm run try:full-image`: builds the full image with debootstrap, and uses what it has in a container as sandboxes are. On demand, since it
 * takes some minutes, 6 GB of disk, root and a mirror of Debian; Docker as DOCKER_HOST says.
 */
import { execFileSync } from 'node:child_process';
import { buildImage } from '../../src/cli/image/image.js';

const TAG = 'fairlead/workspace-try:full';
const HARDENED = [
  '--network=none',
  '--read-only',
  '--cap-drop=ALL',
  '--tmpfs=/tmp:rw,noexec',
  '--tmpfs=/workspace:rw,exec,mode=0700,uid=10001,gid=10001',
];
const USES = [
  'cat /opt/fairlead/inventory',
  'python3 -c "import numpy, pandas, openpyxl, pypdf, PIL; print(pandas.DataFrame({1: numpy.arange(3)}).sum()[1])"',
  'python3 -c "import matplotlib.pyplot as p; p.plot([1, 2]); p.savefig(\'a.png\')" && convert a.png a.jpg && file a.jpg',
  'printf "# Title\\n" | pandoc -o a.docx && pandoc a.docx -t plain && zip -q a.zip a.docx && unzip -l a.zip | grep -c a.docx',
  'echo "int main() { return 0; }" > a.c && gcc -o a a.c && ./a && make --version | head -1',
  'git init -q r && rg --version | head -1 && echo "{\\"a\\": 1}" | jq .a && sqlite3 :memory: "select 1" && pdftotext -v 2>&1 | head -1',
];

const docker = (...args: string[]): string => execFileSync('docker', args, { encoding: 'utf8' });

const log = (line: string): void => void process.stdout.write(`${line}\n`);

async function main(): Promise<void> {
  const began = performance.now();
  await buildImage({ tag: TAG, local: true, full: true, log });
  log(`built in ${Math.round((performance.now() - began) / 1_000)} s`);
  try {
    for (const use of USES) {
      log(`$ ${use}`);
      log(docker('run', '--rm', ...HARDENED, '--entrypoint=bash', TAG, '-ec', use).trimEnd());
    }
  } finally {
    docker('image', 'rm', TAG);
  }
}

await main();
