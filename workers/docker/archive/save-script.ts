/** The program that a save runs in a sandbox, and what it prints before the tar. Docker thread. */
import { randomBytes } from 'node:crypto';

/** Tools refuse paths of 4,096 bytes and more; a name has 255 at most. Counted with `./`. */
export const MAX_PATH_BYTES = 3_800;
/** Records kept: modes beyond it are not put back. */
const MAX_RECORD_BYTES = 4_194_304;

/** Of an empty list, which a workspace never is: find or stat failed, and the next list would seem the same. */
const OF_NOTHING = 'd41d8cd98f00b204e9800998ecf8427e';

/**
 * `$0` is the workspace, `$1` the mark, `$2` the largest file in bytes, `$3` a pattern of too long paths, `$4` the signature
 * of the save before or `-`. Prints records, then the tar.
 *
 * What the owner may not read is made readable for the moment. What could not come back is made unreadable, so that tar
 * passes it by: busybox has no option that excludes a name with a line break. Opened folders may hold more such folders,
 * hence the passes. (busybox runs \`-exec … +\` only where no parentheses are around it.) All records name the mode of before.
 *
 * GNU tar exits with 1 when a file changed or vanished while it was read, which is fine in a live copy; busybox exits with 1
 * for every failure. Both go on after what they cannot read.
 */
const SAVE = `export LC_ALL=C
if ! [ -r "$0" ] || ! [ -x "$0" ]; then stat -c "$1 own %a ." "$0" && chmod u+rx "$0"; fi 2>/dev/null
cd "$0" || exit
note='m=$0 k=$1 c=$2; shift 2; stat -c "$m $k %a %n" "$@" && chmod "$c" "$@"'
for pass in 1 2 3 4 5 6 7 8; do
  found=$(
    find . -path "$3" -prune -type d -perm -100 -exec sh -c "$note" "$1" long u-rx {} + -o -path "$3" -o \\
      -type d ! -perm -500 -exec sh -c "$note" "$1" folder u+rx {} + -o \\
      -type f -size +"$2"c -perm -400 -exec sh -c "$note" "$1" large u-r {} + -o \\
      -type f ! -size +"$2"c ! -perm -400 -exec sh -c "$note" "$1" own u+r {} +
    echo "$1 -"
  ) 2>/dev/null
  printf '%s\\n' "$found"
  case $found in *"$1 folder "*) ;; *) break ;; esac
done
if [ "$4" != - ]; then
  signature=$(find . -exec stat -c '%f %h %u %s %i %y %z %n' {} + 2>/dev/null | md5sum)
  signature=\${signature%% *}
  [ "$signature" = ${OF_NOTHING} ] && signature=unknown
  echo "$1 signature $signature"
  if [ "$4" = "$signature" ]; then echo "$1 end"; exit 0; fi
fi
echo "$1 end"
tar -cf - .
code=$?
if [ "$code" = 1 ]; then case "$(tar --version 2>/dev/null)" in *"GNU tar"*) code=0 ;; esac; fi
exit "$code"`;

export interface SaveRecord {
  /** own, folder: made readable. large, long: left out. */
  kind: 'own' | 'folder' | 'large' | 'long';
  /** Octal digits. */
  mode: string;
  path: Buffer;
}

export interface SaveProgram {
  command: string[];
  /** Splits what the program prints. */
  output: SaveOutput;
}

export function saveProgram(folder: string, maxFileBytes: number, signature: string | undefined): SaveProgram {
  const mark = randomBytes(12).toString('hex'); // no name of a file contains it
  const tooLong = `${'?'.repeat(MAX_PATH_BYTES)}*`;
  const command = ['sh', '-c', SAVE, folder, mark, String(maxFileBytes), tooLong, signature ?? '-'];
  return { command, output: new SaveOutput(mark) };
}

/** For a sandbox that can start no process more: a shell would have to. */
export function plainSaveProgram(folder: string): SaveProgram {
  return { command: ['tar', '-C', folder, '-cf', '-', '.'], output: new SaveOutput(undefined) };
}

/** Takes the records off the start of a stream, and passes the tar behind them. */
export class SaveOutput {
  readonly #mark: string | undefined;
  readonly records: SaveRecord[] = [];
  signature: string | undefined;
  /** The records are complete: a tar follows. */
  began: boolean;

  constructor(mark: string | undefined) {
    this.#mark = mark;
    this.began = mark === undefined;
  }

  async *tar(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    let kept = Buffer.alloc(0);
    let dropped = false;
    const end = Buffer.from(`${this.#mark} end\n`);
    for await (const chunk of source) {
      if (this.began) {
        yield chunk;
        continue;
      }
      kept = Buffer.concat([kept, chunk]);
      const at = kept.indexOf(end);
      if (at >= 0) {
        this.began = true;
        if (!dropped) this.#read(kept.subarray(0, at));
        const rest = kept.subarray(at + end.length);
        kept = Buffer.alloc(0);
        if (rest.length > 0) yield rest;
      } else if (kept.length > MAX_RECORD_BYTES) {
        if (!dropped) this.#read(kept);
        dropped = true;
        kept = kept.subarray(kept.length - end.length);
      }
    }
  }

  #read(records: Buffer): void {
    for (const record of records.toString('latin1').split(`${this.#mark} `)) {
      const [, kind, mode, path] = /^(own|folder|large|long) ([0-7]{1,4}) ([^]+)\n$/.exec(record) ?? [];
      if (kind && mode && path) {
        this.records.push({ kind: kind as SaveRecord['kind'], mode, path: Buffer.from(path, 'latin1') });
      }
      this.signature = /^signature ([0-9a-f]{32})\s*$/.exec(record)?.[1] ?? this.signature;
    }
  }
}
