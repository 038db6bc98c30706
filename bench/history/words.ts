/** The words that transcripts are made of: common English by frequency, the trade's own, and a long tail. */
import { Random } from './random.js';

/** Most frequent first. */
const COMMON = wordsOf(`
the to of and a in is it that for you this with not on be are as if have or from can at but an will by so we was which when
all there what your one they do has my would up out no about then more some like just other only use how get its make see
now should new does need any time than into first because also work way them same could where want here these still two after
before change back set each right most very good thing even may run start last next take same part case without between
since both look know find keep think try while through again might against point long every another under once never around
enough whole instead really already rather until however though probably likely means looks works needs makes gives takes
happens comes goes seems reads says let us our their his her he she were been being had did done made given taken found left
read written gone seen known shown called used sent kept lost told few many much less least own such too over off down away
against within beyond across along during above below behind near far early late soon often always sometimes usually
currently actually simply exactly clearly directly correctly separately instead together otherwise therefore perhaps maybe
yes please thanks sorry sure great fine okay simple small large big short full empty old current previous different similar
possible certain real true false wrong correct safe slow fast hard easy clean whole single double better worse best enough
number name line place list order state end side kind result reason problem question answer example idea issue change step
`);

const TRADE = wordsOf(`
file test error function code type value string server client request response message session user data key cache queue
config option default path folder module package import export class method object array field column table row index query
database store memory disk process thread worker container image network socket port connection timeout retry limit buffer
stream event handler callback promise await async loop branch commit merge diff patch review build deploy release version
dependency install script command output input log trace metric latency throughput benchmark profile heap leak crash bug fix
token model prompt tool call schema json parse validate encode decode compress hash checksum signature header body payload
route endpoint middleware auth permission role secret certificate proxy gateway balancer cluster node replica shard partition
transaction lock deadlock race condition snapshot backup restore migration rollback upgrade pipeline scheduler cron job task
template component render layout style button form page browser cookie locale encoding unicode regex pattern match replace
sort filter map reduce iterate recursion stack pointer reference copy clone mutable immutable constant variable scope closure
interface generic union enum literal assertion invariant coverage fixture mock stub integration regression flaky assertion
duplicate missing invalid expired stale pending failed refused aborted cancelled unexpected undefined null overflow underflow
`);

const SYLLABLES = wordsOf(`
re con de in pro per ex dis com sub ob trans pre un inter tion ment er ing able ive al ous ent ate ize ful ness ly ist ic
ta ri mo se li na vo du pa ce fi ra to ma si lo ve ca di no be po ti la ne mi sta tra gra ple ver ter den for man ken lin
`);

const TAIL_WORDS = 3_000;

export interface Vocabulary {
  common: readonly string[];
  trade: readonly string[];
  tail: readonly string[];
}

/** The same for all sessions, as a language is. */
export function vocabulary(): Vocabulary {
  const random = new Random(1);
  const tail = new Set<string>();
  while (tail.size < TAIL_WORDS) {
    tail.add(Array.from({ length: random.int(2, 4) }, () => random.pick(SYLLABLES)).join(''));
  }
  return { common: [...new Set(COMMON)], trade: [...new Set(TRADE)], tail: [...tail] };
}

function wordsOf(text: string): string[] {
  return text.trim().split(/\s+/);
}
