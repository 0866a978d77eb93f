// The classic script: one global.
import { attach } from './prompt.js';

/** @type {any} */ (globalThis).ChatpassPrompt = { attach };
