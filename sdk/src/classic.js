// The classic script: one global.
import { create } from './chatpass.js';

/** @type {any} */ (globalThis).Chatpass = { create };
