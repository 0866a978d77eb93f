// Runs the identity provider for tests written in other languages: takes the options of start as
// JSON, and prints {"issuer"} as one line.
import { start } from './op.mjs';

const { issuer } = await start(JSON.parse(process.argv[2]));
console.log(JSON.stringify({ issuer }));
