// Builds dist/: the module, the classic script, their source maps and the types. The output is committed,
// so that neither Go nor a page needs Node; a test builds again and compares.
import { build } from 'esbuild';
import { minify } from 'terser';
import { execFileSync } from 'node:child_process';
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

/** Bundles the source. @returns {Promise<Map<string, string>>} file name → content */
async function bundle(name, options) {
  const { outputFiles } = await build({
    absWorkingDir: here,
    entryPoints: ['src/chatpass.js'],
    outfile: 'dist/' + name,
    bundle: true,
    minify: true,
    mangleProps: new RegExp(`^(${OURS.join('|')})$`),
    sourcemap: 'external',
    target: 'es2022',
    write: false,
    ...options,
  });
  const [map, script] = outputFiles.map(f => f.text);
  const { code, map: whole } = await minify(script, {
    ecma: 2020,
    module: options.format === 'esm',
    compress: { passes: 4, unsafe_arrows: true },
    sourceMap: { content: map, url: name + '.map', includeSources: true },
  });
  return new Map([[name, code + '\n'], [name + '.map', whole]]);
}

/** Checks the types and returns those of the public module. Throws with the compiler's words. */
function types() {
  const out = mkdtempSync(join(tmpdir(), 'chatpass-types-'));
  try {
    execFileSync(join(here, 'node_modules/.bin/tsc'), ['-p', here, '--outDir', out], { encoding: 'utf8', stdio: 'pipe' });
    return readFileSync(join(out, 'chatpass.d.ts'), 'utf8');
  } catch (e) {
    throw new Error('types: ' + (e.stdout || e.message));
  } finally {
    rmSync(out, { recursive: true });
  }
}

/** Everything that belongs into dist/. @returns {Promise<Map<string, string>>} file name → content */
export async function output() {
  return new Map([
    ...(await bundle('chatpass.js', { format: 'esm' })),
    ...(await bundle('chatpass.iife.js', { format: 'iife', entryPoints: ['src/classic.js'] })),
    ['chatpass.d.ts', types()],
  ]);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  mkdirSync(join(here, 'dist'), { recursive: true });
  for (const [name, text] of await output()) writeFileSync(join(here, 'dist', name), text);
}
