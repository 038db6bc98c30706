/** Who they are to the server; each one's token is its name. */
export const PEOPLE = 'people';
/** One for each time: what it has done before is held against a user. */
export const BAD = Array.from({ length: 50 }, (_, index) => `bad-${index}`);
