/** Prose as users and models write it about their work: sentences, lists, names from the code. */
import type { Project } from './project.js';
import { Random } from './random.js';
import { vocabulary } from './words.js';

const WORDS = vocabulary();
/** Each word has a few frequent followers, as in a language: repetitions are what a compressor finds. */
const FOLLOWERS = 6;
const FOLLOWS = 0.5;
const companions = new Map<string, string[]>();

/** About this many characters, in paragraphs. */
export function prose(random: Random, project: Project, characters: number): string {
  const parts: string[] = [];
  for (let length = 0; length < characters; length += parts.at(-1)?.length ?? 0) {
    parts.push(random.chance(0.18) ? bullets(random, project) : paragraph(random, project));
  }
  return parts.join('\n\n');
}

function paragraph(random: Random, project: Project): string {
  return Array.from({ length: random.int(1, 4) }, () => sentence(random, project)).join(' ');
}

function bullets(random: Random, project: Project): string {
  const mark = random.chance(0.4) ? (index: number) => `${index + 1}. ` : () => '- ';
  const items = Array.from({ length: random.int(2, 5) }, (_, index) => {
    const lead = random.chance(0.4) ? `**${project.noun(random)}**: ` : '';
    return `${mark(index)}${lead}${sentence(random, project)}`;
  });
  return `${sentence(random, project).replace(/\.$/, ':')}\n\n${items.join('\n')}`;
}

export function sentence(random: Random, project: Project): string {
  const words: string[] = [];
  const length = random.size(13, 0.5);
  let last = '';
  while (words.length < length) {
    last = nextWord(random, last);
    if (random.chance(0.07)) words.push(`\`${project.name(random)}\``);
    words.push(random.chance(0.07) && words.length < length - 2 ? `${last},` : last);
  }
  const text = words.join(' ');
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${random.chance(0.08) ? '?' : '.'}`;
}

function nextWord(random: Random, last: string): string {
  return last !== '' && random.chance(FOLLOWS) ? random.pickCommon(companyOf(last)) : anyWord(random);
}

/** Depends on the word alone, so that all sessions share it. */
function companyOf(word: string): string[] {
  const known = companions.get(word);
  if (known) return known;
  let seed = 7;
  for (const character of word) seed = Math.imul(seed, 31) + character.charCodeAt(0);
  const random = new Random(seed);
  const company = Array.from({ length: FOLLOWERS }, () => anyWord(random));
  companions.set(word, company);
  return company;
}

function anyWord(random: Random): string {
  const kind = random.next();
  if (kind < 0.68) return random.pickCommon(WORDS.common);
  return kind < 0.9 ? random.pickCommon(WORDS.trade) : random.pickCommon(WORDS.tail);
}
