"""The looks of the HTML report: plain, printable, light and dark by the reader's own choice."""

STYLE = """
:root{color-scheme:light dark;--ink:#1b2430;--soft:#5b6776;--line:#d9dfe6;--page:#fff;--card:#f6f8fa;--good:#1f8a55;
--bad:#c4322b;--warn:#b57600;--unsure:#6b5bb5;--none:#9aa5b1}
@media(prefers-color-scheme:dark){:root{--ink:#e4e9ef;--soft:#9fabb8;--line:#333d49;--page:#12171d;--card:#1a212a;
--good:#4cc38a;--bad:#ff6b62;--warn:#e5a52e;--unsure:#a79bf0;--none:#66717d}}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:1080px;margin:0 auto;padding:32px 24px 64px}
h1{font-size:28px;margin:4px 0 8px}h2{font-size:19px;margin:40px 0 12px}h3{font-size:16px;margin:0 0 4px}
code,pre{font:13px/1.45 ui-monospace,monospace}pre{background:var(--page);border:1px solid var(--line);padding:8px 12px;
border-radius:6px;overflow:auto;white-space:pre-wrap}
.outcome{display:inline-block;margin:0;padding:2px 12px;border-radius:12px;color:#fff;font-weight:600;
background:var(--none)}
.o-passed{background:#1f7a4d}.o-failed{background:#b82c25}.o-inconclusive{background:#5f50a6}
.message{font-size:17px;margin:0 0 16px}.small,.claim{color:var(--soft)}.small{font-size:13px}
.shares{width:100%;height:14px;display:block}.key{list-style:none;display:flex;flex-wrap:wrap;gap:4px 20px;padding:0;
margin:8px 0 16px}
.facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(220px,1fr));gap:8px 20px;margin:0}
.facts dt{color:var(--soft);font-size:12px}.facts dd{margin:0;overflow-wrap:anywhere}
article,.findings li{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:14px 18px;
margin:0 0 14px}
.findings{list-style:none;padding:0}.findings p{margin:0}article{border-left:4px solid var(--bad)}
.tag{margin-left:8px;font-size:12px;color:var(--bad);border:1px solid var(--bad);border-radius:8px;padding:0 6px}
.cause{border-top:1px solid var(--line);margin-top:10px;padding-top:8px}.cause p{margin:0 0 4px}
.cause dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 14px;margin:0}.cause dt{color:var(--soft)}
.cause dd{margin:0;overflow-wrap:anywhere}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:14px}
th,td{text-align:left;padding:5px 10px;border-bottom:1px solid var(--line);vertical-align:top}
thead th{color:var(--soft);font-weight:500}.matrix .group th{padding-top:16px;color:var(--soft);font-weight:600}
.matrix{width:auto}.matrix th{font-weight:400}.cell{text-align:center;font-weight:700}.past{min-width:120px}
.ladder{display:block;width:100%;max-width:574px;margin:10px 0}.ladder text{font-size:13px;fill:var(--ink)}
.rung rect{fill:none;stroke:var(--good);stroke-width:2}.rung.broken rect{stroke:var(--bad);stroke-width:3}
.rung.below rect{stroke:var(--none);stroke-dasharray:4 3}.join{stroke:var(--good);stroke-width:2}
.join.broken{stroke:var(--bad);stroke-dasharray:3 4}.join.below{stroke:var(--none)}
.v-passed{color:var(--good);fill:var(--good)}.v-failed{color:var(--bad);fill:var(--bad)}
.v-flaky{color:var(--warn);fill:var(--warn)}.v-inconclusive{color:var(--unsure);fill:var(--unsure)}
.v-skipped,.v-unsupported,.v-notapplicable{color:var(--none);fill:var(--none)}
tr.ok td:first-child{color:var(--good)}tr.bad td:first-child{color:var(--bad)}tr.bad{font-weight:600}
td[class^=v-]{white-space:nowrap}
summary{cursor:pointer;color:var(--soft);margin:10px 0 4px}a{color:inherit}
@media print{article{break-inside:avoid}}
"""
