/** The page's style sheet. */

/** Colours of `SIZES` by their classes, and the rest, for light and dark. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --page: #f6f6f4; --card: #ffffff; --line: #e3e2de; --text: #1b1b1a; --soft: #5f5e5a;
  --k4: #2a78d6; --m2: #1a9a70; --g1: #6a4fc4; --io: #e0662b; --no: #a9a8a2; --untouched: #e6e5e0;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #141413; --card: #1e1e1c; --line: #34332f; --text: #ececea; --soft: #a9a8a2;
    --k4: #4a93ea; --m2: #2fb98b; --g1: #9a83ee; --io: #ee7d45; --no: #75746e; --untouched: #2d2c29;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 32px 20px 48px; max-width: 1040px; background: var(--page);
  color: var(--text); font: 14px/1.45 system-ui, -apple-system, "Segoe UI", sans-serif;
}
h1 { margin: 0; font-size: 22px; font-weight: 600; }
h2 { margin: 0 0 2px; font-size: 15px; font-weight: 600; }
p { margin: 0; color: var(--soft); overflow-wrap: anywhere; }
section { margin-top: 16px; padding: 18px 20px; background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(140px, 1fr)); gap: 12px; margin-top: 20px; }
.tiles div { padding: 12px 14px; background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
.tiles b { display: block; font-size: 20px; font-weight: 600; }
.tiles span { color: var(--soft); font-size: 12px; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 16px; margin: 10px 0; color: var(--soft); font-size: 12px; }
.legend i { display: inline-block; width: 10px; height: 10px; margin-right: 6px; border-radius: 2px; }
svg { display: block; width: 100%; height: auto; margin-top: 8px; }
.wide { overflow-x: auto; }
.wide svg { min-width: 680px; }
.wide + .wide svg { margin-top: 18px; }
svg text { fill: var(--soft); font-size: 11px; font-variant-numeric: tabular-nums; }
.timeline .y, .map text { text-anchor: end; dominant-baseline: central; }
.timeline .x { text-anchor: middle; }
.map text { font: 10px ui-monospace, monospace; }
.grid { stroke: var(--line); }
.axis { stroke: var(--soft); }
.hit { fill: transparent; }
g:hover > .hit { fill: var(--text); fill-opacity: 0.07; }
.mark { fill: none; stroke: var(--text); stroke-width: 1.5; pointer-events: none; }
.k4 { fill: var(--k4); background: var(--k4); }
.m2 { fill: var(--m2); background: var(--m2); }
.g1 { fill: var(--g1); background: var(--g1); }
.io { fill: var(--io); background: var(--io); }
.no { fill: var(--no); background: var(--no); }
.untouched { fill: var(--untouched); background: var(--untouched); }
.s1 { fill-opacity: 0.4; } .s2 { fill-opacity: 0.6; } .s3 { fill-opacity: 0.8; }
.bars { display: grid; grid-template-columns: max-content 1fr; gap: 8px 14px; align-items: center; }
.bar { display: flex; gap: 1px; height: 18px; padding-right: 84px; }
.bar i { height: 100%; min-width: 1px; border-radius: 2px; }
.bar b { margin: auto 0 auto 8px; font-weight: 500; white-space: nowrap; width: 0; font-variant-numeric: tabular-nums; }
details { margin-top: 14px; }
summary { color: var(--soft); font-size: 12px; cursor: pointer; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th { font-weight: 400; text-align: left; }
td { text-align: right; }
th, td { padding: 3px 0; border-bottom: 1px solid var(--line); }
.matrix { margin-top: 8px; }
.matrix th, .matrix td { padding: 4px 18px 4px 0; }
.matrix thead th { text-align: right; color: var(--soft); }
.matrix tfoot * { font-weight: 600; border-bottom: 0; }
.zero { color: var(--soft); opacity: 0.6; }
.two { display: grid; grid-template-columns: repeat(auto-fit, minmax(280px, 1fr)); gap: 16px 40px; }
.two table { width: 100%; margin-top: 6px; }
.two th { font: 12px ui-monospace, monospace; }
#tip {
  position: fixed; z-index: 1; max-width: 320px; padding: 6px 10px; border-radius: 6px; background: var(--text);
  color: var(--page); font-size: 12px; white-space: pre-line; pointer-events: none; font-variant-numeric: tabular-nums;
}
`;
