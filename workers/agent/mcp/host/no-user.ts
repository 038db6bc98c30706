/** The caller who is nobody of the organisation: Fairlead itself, which lists servers for all. Agent threads. */

/** No user has this name: `USER_NAME` wants a letter or a digit. */
export const NO_USER = '';
