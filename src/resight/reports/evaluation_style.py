"""How the report page looks beyond what all pages share."""

from __future__ import annotations

__all__ = ["STYLE"]

STYLE = """
:root { --wrong: #b3261e; --right: #0a7a54; }
@media (prefers-color-scheme: dark) { :root { --wrong: #ff8a80; --right: #52d6a2; } }
.figures { display: grid; gap: 18px; grid-template-columns: repeat(2, minmax(0, 1fr)); align-items: start; }
.panel { background: var(--card); border: 1px solid var(--line); border-radius: 14px; padding: 20px 22px;
  box-shadow: var(--shadow); }
.panel h2 { margin-bottom: 12px; }
.wide { overflow-x: auto; position: relative; }
table { border-collapse: collapse; width: 100%; font-size: .95rem; }
th, td { text-align: right; padding: 7px 0 7px 14px; border-top: 1px solid var(--line); white-space: nowrap; }
thead th { border-top: 0; color: var(--soft); font-weight: 500; font-size: .8rem; padding-top: 0; }
th:first-child { text-align: left; padding-left: 0; }
td { color: var(--soft); }
td.value { color: var(--ink); font-weight: 650; }
.bar { display: block; width: 60px; height: 10px; border-radius: 5px; }
.bar .ground { fill: var(--mat); }
.bar .filled { fill: var(--confirmed); opacity: .5; }
.bar .whisker { fill: var(--ink); }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.protocol { display: grid; gap: 7px; font-size: .92rem; }
.protocol div { display: grid; grid-template-columns: 8.6rem minmax(0, 1fr); gap: 12px; }
.protocol dt { color: var(--soft); }
.protocol dd { margin: 0; overflow-wrap: anywhere; }
.rows { padding-top: 40px; }
.rows h2 { font-size: 1.2rem; }
.why { color: var(--soft); margin: 4px 0 16px; max-width: 46rem; }
.asked, .found { list-style: none; padding: 0; }
.asked { display: grid; gap: 16px; padding-bottom: 20px; }
.ask {
  background: var(--card); border: 1px solid var(--line); border-radius: 14px; padding: 14px;
  box-shadow: var(--shadow); display: grid; grid-template-columns: 190px minmax(0, 1fr); gap: 22px;
  break-inside: avoid;
}
.ask figure { margin: 0; }
.given img, .given .gone { width: 100%; height: 150px; object-fit: contain; background: var(--mat);
  border-radius: 9px; }
.boxed { display: block; width: 100%; height: 150px; background: var(--mat); border-radius: 9px; }
.boxed rect { fill: none; stroke: var(--outline); stroke-width: 3px; vector-effect: non-scaling-stroke; }
.given figcaption { display: grid; gap: 2px; margin-top: 8px; overflow-wrap: anywhere;
  font-size: .82rem; line-height: 1.4; color: var(--soft); }
.given b { color: var(--ink); font-size: .98rem; }
.found { display: grid; gap: 12px 10px; align-content: center;
  grid-template-columns: repeat(8, minmax(0, 1fr)); }
.found img, .found .gone {
  display: block; width: 100%; aspect-ratio: 1; object-fit: contain; background: var(--mat);
  border-radius: 9px; border: 3px solid var(--frame);
}
.right { --frame: var(--right); } .wrong { --frame: var(--wrong); }
.wrong img { border-style: dashed; }
.ignored { --frame: var(--line); } .ignored img { opacity: .55; }
.missed { --frame: var(--likely); } .missed img { border-style: dotted; }
.ask .why { margin: 14px 0 6px; font-size: .82rem; }
.found figcaption { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 6px;
  font-size: .78rem; line-height: 1.35; margin-top: 5px; }
.mark { color: var(--frame); font-weight: 650; }
.label { width: 100%; color: var(--ink); overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.gone { display: grid; place-items: center; padding: 6px; text-align: center; font-size: .7rem;
  color: var(--soft); overflow: hidden; }
.foot p { max-width: 60rem; margin-top: 2px; }
@media (max-width: 980px) {
  .figures { grid-template-columns: minmax(0, 1fr); }
  .found { grid-template-columns: repeat(4, minmax(0, 1fr)); }
}
@media (max-width: 560px) {
  .ask { grid-template-columns: minmax(0, 1fr); gap: 14px; }
  .given { display: grid; grid-template-columns: 120px minmax(0, 1fr); gap: 12px; align-items: start; }
  .given img, .given .gone { height: 120px; }
  th:nth-child(4), td:nth-child(4) { display: none; }
  .protocol div { grid-template-columns: 6.6rem minmax(0, 1fr); }
}
@media print {
  .panel, .ask { box-shadow: none; }
  .bar, .found img { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""
