/** Version of this SDK, as in package.json; every request names it. */
export const VERSION = '0.1.0';
