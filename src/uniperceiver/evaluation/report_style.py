"""How ``report.html`` looks, on a screen of any width and on paper."""

from __future__ import annotations

STYLE = """\
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1rem; color: #1b1f24; background: #fff;
  font: 1rem/1.45 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { margin: 0 0 .25rem; }
h2 { margin: 2.5rem 0 .5rem; padding-bottom: .2rem; border-bottom: 2px solid #0b5394; }
h3 { margin: 1.5rem 0 .25rem; }
h4 { margin: 0 0 .5rem; font-size: .95rem; }
a { color: #0b5394; }
p, dd, dt, h2, h4, figcaption, li { overflow-wrap: anywhere; unicode-bidi: isolate; }
td, th { overflow-wrap: break-word; unicode-bidi: isolate; }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin: 1rem 0 0; padding: 0; list-style: none; }
nav a { display: inline-block; padding: .3rem 0; }
.note { color: #4a525b; font-size: .9rem; }
.wide { overflow: auto; max-height: 21rem; max-width: 100%; }
.tables { display: flex; flex-wrap: wrap; gap: 0 2rem; align-items: flex-start; }
.tables thead th { position: sticky; top: 0; background: #fff; }
.tables > div { max-width: 100%; }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid #d5d8dc; text-align: left; vertical-align: top; }
tbody th { font-weight: normal; }
.numbers td, .numbers th + th { text-align: right; }
.summary td:nth-child(4), .summary td:nth-child(5) { text-align: right; }
.summary td:last-child { min-width: 20rem; font-size: .85rem; color: #4a525b; }
.examples { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(19rem, 100%), 1fr)); }
article { border: 1px solid #d5d8dc; border-radius: .4rem; padding: .75rem; break-inside: avoid; }
.pictures { display: flex; flex-wrap: wrap; gap: .5rem; }
figure { margin: 0; }
.pairs { grid-template-columns: repeat(auto-fill, minmax(min(34rem, 100%), 1fr)); }
.pictures figure { flex: 1 1 15rem; max-width: 320px; }
.pictures .small { flex: 0 1 7rem; }
img { display: block; max-width: 100%; height: auto; }
figcaption { font-size: .85rem; color: #4a525b; }
dl { display: grid; grid-template-columns: auto 1fr; gap: .15rem .75rem; margin: .5rem 0 0; font-size: .92rem; }
dt { color: #4a525b; }
dd { margin: 0; }
.right, .wrong { float: right; padding: 0 .5rem; border-radius: .3rem; color: #fff; }
.right { background: #14632b; }
.wrong { background: #a3201b; }
.curves { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(20rem, 100%), 1fr)); }
.curves svg { width: 100%; height: auto; display: block; }
@media (max-width: 50rem) {
  .summary th, .summary td { padding: .3rem; font-size: .85rem; }
  .summary th:last-child, .summary td:last-child { display: none; }
}
@media print {
  body { max-width: none; padding: 0; font-size: .8rem; }
  nav { display: none; }
  h2 { break-after: avoid; }
  .wide { overflow: visible; max-height: none; }
  .curves figure { break-inside: avoid; }
  .right, .wrong { color: #000; background: none; border: 1px solid; }
}
"""
