// Gives the module, and those beside it, another path: in go.mod files, imports and what documents say of them.
// What is merely called chatpass keeps its name.
//
//   node .ci/module-path.mjs example.org/chatpass    in the top folder
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const to = process.argv[2] ?? '';
if (!/^[a-z0-9-]+(\.[a-z0-9-]+)+(\/[A-Za-z0-9._~-]+)*$/.test(to)) {
  console.error(`module-path: ${to || 'TO'} is not a module path such as example.org/chatpass`);
  process.exit(2);
}
const from = readFileSync('go.mod', 'utf8').match(/^module (\S+)$/m)[1];
const old = from.replace(/[.~]/g, '\\$&');

const rules = [
  // Imports stand before the first declaration.
  [/\.go$/, (text) => {
    const body = text.search(/^(func|type|var|const)\b/m);
    const head = body < 0 ? text : text.slice(0, body);
    return head.replace(new RegExp(`^((?:import )?\\s*(?:[\\w.]+ )?")${old}(?=[/"])`, 'gm'), `$1${to}`) + text.slice(head.length);
  }],
  [/\.mod$/, (text) => text.replace(new RegExp(`^((?:module |require |replace |\\t)?)${old}(?=[/\\s])`, 'gm'), `$1${to}`)],
  [/\.md$/, (text) => text.replace(new RegExp(`(require |replace |import "|module path is \`)${old}(?=[/ \`])`, 'g'), `$1${to}`)],
];

let changed = 0;
for (const path of files('.')) {
  const rule = rules.find(([name]) => name.test(path));
  if (!rule) continue;
  const text = readFileSync(path, 'utf8');
  const now = rule[1](text);
  if (now === text) continue;
  writeFileSync(path, now);
  changed++;
}
console.log(`${from} is ${to} now, in ${changed} files`);

function files(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (['.git', 'node_modules', 'bin'].includes(entry.name)) return [];
    const path = join(folder, entry.name);
    return entry.isDirectory() ? files(path) : [path];
  });
}
