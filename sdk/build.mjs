// Builds dist/: the modules, the classic scripts, their source maps and the types. The output is committed,
// so that neither Go nor a page needs Node; a test builds again and compares.
import { build } from 'esbuild';
import { minify } from 'terser';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));

/**
 * Properties that only this SDK's own modules see, shortened in what is shipped. None may also be a name of
 * the browser, of the page's or the service's side, or of a message to other tabs, whose SDK may be another version.
 */
const OURS = (
  'after asapp asked asking cfg check claim ctx emit env failed fails floor forced forcedAt generation give handed handlers hint host idle input level needed next raise ' +
  'pause perf popup reject resolve refusedAt settings shown shut site tell timer told tried tries trouble waiting wall wanted watch widget win window wish'
).split(' ');

/** Bundles the source that begins at entry. @returns {Promise<Map<string, string>>} file name → content */
async function bundle(name, entry, format) {
  const { outputFiles } = await build({
    absWorkingDir: here,
    entryPoints: ['src/' + entry],
    outfile: 'dist/' + name,
    bundle: true,
    minify: true,
    mangleProps: new RegExp(`^(${OURS.join('|')})$`),
    sourcemap: 'external',
    target: 'es2022',
    write: false,
    format,
  });
  const [map, script] = outputFiles.map(f => f.text);
  const { code, map: whole } = await minify(script, {
    ecma: 2020,
    module: format === 'esm',
    compress: { passes: 4, unsafe_arrows: true },
    sourceMap: { content: map, url: name + '.map', includeSources: true },
  });
  return new Map([[name, code + '\n'], [name + '.map', whole]]);
}

/** Checks the types and returns those of the public modules, file name → content. Throws with the compiler's words. */
function types() {
  const out = mkdtempSync(join(tmpdir(), 'chatpass-types-'));
  try {
    execFileSync(join(here, 'node_modules/.bin/tsc'), ['-p', here, '--outDir', out], { encoding: 'utf8', stdio: 'pipe' });
    const read = name => readFileSync(join(out, name), 'utf8');
    return [['chatpass.d.ts', read('chatpass.d.ts')], ['chatpass-prompt.d.ts', read('prompt.d.ts')], ['words.d.ts', read('words.d.ts')]];
  } catch (e) {
    throw new Error('types: ' + (e.stdout || e.message));
  } finally {
    rmSync(out, { recursive: true });
  }
}

/** Everything that belongs into dist/. @returns {Promise<Map<string, string>>} file name → content */
export async function output() {
  return new Map([
    ...(await bundle('chatpass.js', 'chatpass.js', 'esm')),
    ...(await bundle('chatpass.iife.js', 'classic.js', 'iife')),
    ...(await bundle('chatpass-prompt.js', 'prompt.js', 'esm')),
    ...(await bundle('chatpass-prompt.iife.js', 'classic-prompt.js', 'iife')),
    ...types(),
  ]);
}

/** What a page's tag says of a script (Subresource Integrity, section 3.5). @param {string} text */
const integrity = text => 'sha384-' + createHash('sha384').update(text).digest('base64');

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  mkdirSync(join(here, 'dist'), { recursive: true });
  const files = await output();
  for (const [name, text] of files) writeFileSync(join(here, 'dist', name), text);
  const readme = join(here, 'README.md');
  writeFileSync(readme, readFileSync(readme, 'utf8').replace(/(\/sdk\/[\d.]+\/(chatpass\S*\.iife\.js)"\s+integrity=")[^"]*/g, (_, tag, name) => tag + integrity(files.get(name))));
}
