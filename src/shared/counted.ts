/** A number with its noun: `1 file`, `2 files`. Pure. */
export function counted(count: number, one: string, more = `${one}s`): string {
  return `${count} ${count === 1 ? one : more}`;
}
