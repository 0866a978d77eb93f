import assert from 'node:assert/strict';

// reads holds one page against what everybody needs: a heading that is announced, contrast (WCAG 2.2, 1.4.3),
// and nothing that does not fit a narrow popup.
export async function reads(page, name) {
  await page.getByRole('status').waitFor();
  const found = await page.evaluate(() => {
    const channel = (v) => ((v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    const light = (color) => color.match(/\d+/g).slice(0, 3).map((v) => channel(Number(v))).reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const behind = (el) => (/, 0\)$|transparent/.test(getComputedStyle(el).backgroundColor) ? behind(el.parentElement) : getComputedStyle(el).backgroundColor);
    const contrast = (el) => {
      const [a, b] = [light(getComputedStyle(el).color), light(behind(el))].sort((x, y) => y - x);
      return (a + 0.05) / (b + 0.05);
    };
    const texts = [...document.querySelectorAll('h1, p, a, small')].filter((el) => el.checkVisibility());
    return {
      title: document.title, heading: texts[0].textContent,
      contrast: Math.min(...texts.map(contrast)),
      wide: document.documentElement.scrollWidth > document.documentElement.clientWidth,
      empty: texts.some((el) => el.textContent.trim() === ''),
    };
  });
  assert.equal(found.title, found.heading, name);
  assert.ok(found.contrast >= 4.5, `${name}: contrast ${found.contrast.toFixed(2)}`);
  assert.deepEqual([found.wide, found.empty], [false, false], `${name}: wide, empty`);
}
