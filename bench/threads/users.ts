/** Who they are to the server; each one's token is its name. */
export const PEOPLE = 'people';
export const BAD = 'bad';
