"""The parts of `report.html` that do not change: page, style and symbols."""

from string import Template

PAGE = Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Theory checks: $counts</title>
<style>
$style</style>
</head>
<body>
<main>
<h1>Neural collapse under MSE loss: every claim, checked</h1>
<p>The numbered claims of Han, Papyan &amp; Donoho, “Neural Collapse Under MSE Loss: Proximity to and Dynamics on the
Central Path” (ICLR 2022), and what this project adds to them, each put to the test in double precision on random and on
hard instances. A claim holds where two independent computations of one quantity agree to within a tolerance that
follows from the arithmetic and is at most $widest of that quantity; every such comparison is made a second time with a
fault planted in it, which must exceed $factor tolerances on every instance. Where the print is false, instances show by
how much, and comparisons say which statement is true in its place. Verdicts follow from these numbers alone.</p>
<p class="counts $state">$counts.</p>
<dl class="run">
<div><dt>instances</dt><dd>$mode</dd></div>
<div><dt>random numbers</dt><dd>$drawn</dd></div>
<div><dt>time</dt><dd>$seconds s</dd></div>
$versions
</dl>
$notes
<h2 id="symbols">Symbols</h2>
<dl class="symbols">
$symbols
</dl>
<h2 id="words">Verdicts and the rule for them</h2>
<dl class="legend">
$legend
</dl>
<p class="small">$rule</p>
<p class="small">$hypotheses</p>
<h2 id="verdicts">All claims</h2>
<p class="small">“Off by” is the least distance of the printed statement from true, over the instances that refute it; a
dash: none does. Residual and tolerance are of the comparison that comes nearest to its tolerance among those of what
does hold; fault is the residual of the same comparison with the planted fault, on the instance that shows it least. So
a statement that fails has a distance in the first column of numbers, and beside it how well what is true in its place
agrees; a dash there: the verdict rests on refutations alone.</p>
<fieldset class="filter"><legend>Show</legend>
$filters
</fieldset>
<table class="verdicts" role="table" aria-labelledby="verdicts">
<thead role="rowgroup"><tr role="row"><th role="columnheader" scope="col">claim</th>
<th role="columnheader" scope="col">verdict</th><th role="columnheader" scope="col" class="number">off by</th>
<th role="columnheader" scope="col" class="number">residual</th>
<th role="columnheader" scope="col" class="number">tolerance</th>
<th role="columnheader" scope="col" class="number">fault</th></tr></thead>
<tbody role="rowgroup">
$rows
</tbody>
</table>
<h2>The claims, and what their verdicts rest on</h2>
$claims
</main>
</body>
</html>
""")

STYLE = """\
:root { color-scheme: light dark; --ink: #1b1b1b; --soft: #595959; --line: #d4d4d0; --paper: #fff; --tint: #f5f5f2;
  --link: #1a4f8b; --blue: #0a558c; --green: #00664b; --orange: #a34700; --ochre: #7a5600; --purple: #853d68; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e8e4; --soft: #b0b0aa; --line: #44443f; --paper: #191917; --tint: #242422; --link: #8fc1f2;
    --blue: #86c5ef; --green: #5fd0a9; --orange: #ff9b62; --ochre: #eabd57; --purple: #e6a3c7; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 1rem/1.55 Georgia, "Times New Roman", serif;
  overflow-wrap: break-word; }
main { max-width: 54rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1, h2, h3, h4, table, .run, .legend, .badge, .counts, .label { font-family: system-ui, "Segoe UI", Helvetica, Arial,
  sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 1rem; }
h2 { font-size: 1.3rem; margin: 2.5rem 0 .75rem; }
h3 { font-size: 1.12rem; margin: 0; }
a { color: var(--link); text-underline-offset: .2em; text-decoration-thickness: 1px; }
sub, sup { font-size: .72em; line-height: 0; }
code { font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: .9em; }
.small, .source, .reason { color: var(--soft); font-size: .9rem; }
.counts { border-left: .3rem solid var(--green); background: var(--tint); padding: .6rem .8rem; }
.counts.wrong, .wrong-list { border-left: .3rem double var(--orange); }
.wrong-list { background: var(--tint); margin: .6rem 0; padding: .5rem .8rem; }
.wrong-list p { margin: 0; }
.run { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; margin: 0; font-size: .85rem; color: var(--soft); }
.run div { display: flex; gap: .35rem; } .run dd { margin: 0; color: var(--ink); }
.legend { display: grid; grid-template-columns: max-content 1fr; gap: .35rem .8rem; font-size: .9rem;
  margin: 0 0 1rem; }
.legend dd { margin: 0; }
.symbols { display: grid; grid-template-columns: max-content 1fr; gap: .15rem .8rem; font-size: .9rem; margin: 0; }
.symbols dd { margin: 0; }
.filter { border: 1px solid var(--line); border-radius: .3rem; padding: .3rem .8rem .5rem; margin: 1rem 0; }
.filter label { display: inline-block; margin: .15rem 1rem .15rem 0; font: .9rem system-ui, "Segoe UI", sans-serif; }
details { margin: .6rem 0; } summary { cursor: pointer; font-size: .9rem; color: var(--link); }
.badge { display: inline-block; border: 1.5px solid; border-radius: .3rem; padding: 0 .45rem; font-size: .85rem;
  line-height: 1.5; white-space: nowrap; font-weight: 600; }
.badge span { margin-right: .4em; }
.holds { color: var(--green); } .part { color: var(--blue); border-style: dashed; }
.amended { color: var(--blue); } .fails { color: var(--paper); background: var(--orange); border-color: var(--orange); }
.misprint { color: var(--purple); border-style: dotted; } .unclear { color: var(--ochre); border-style: double;
  border-width: 4px; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
th, td { text-align: left; vertical-align: top; padding: .4rem .6rem .4rem 0; border-bottom: 1px solid var(--line); }
tbody th { font-weight: 400; }
thead th { color: var(--soft); font-weight: 600; vertical-align: bottom; }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; padding-right: 0;
  padding-left: .8rem; }
.value { white-space: nowrap; }
.not { color: var(--orange); font-weight: 600; }
section { border-top: 1px solid var(--line); padding: 1.4rem 0 .6rem; scroll-margin-top: .5rem; }
section > header { display: flex; flex-wrap: wrap; gap: .3rem .8rem; align-items: center; }
section > p { margin: .5rem 0; }
.statement { border-left: .2rem solid var(--line); padding-left: .8rem; }
.label { font-size: .85rem; font-weight: 600; color: var(--soft); margin-right: .35rem; }
section table { margin: .8rem 0; }
h4 { font-size: .9rem; margin: .8rem 0 .2rem; }
ul { margin: .2rem 0 .6rem; padding-left: 1.2rem; }
figure { margin: 1rem 0; max-width: 31rem; }
figure img { display: block; width: 100%; height: auto; background: #fff; padding: .4rem;
  border: 1px solid var(--line); }
figcaption { color: var(--soft); font-size: .9rem; margin-top: .4rem; }
@media (max-width: 40rem) {
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  table, tbody, caption { display: block; }
  tr { display: grid; grid-template-columns: repeat(3, 1fr); gap: .1rem .6rem; padding: .5rem 0;
    border-bottom: 1px solid var(--line); }
  th, td { border: 0; padding: 0; }
  tbody th, tbody td:not(.number) { grid-column: 1 / -1; }
  td.number { text-align: left; padding: 0; }
  td.number::before { content: attr(data-label); display: block; color: var(--soft); font-size: .75rem; }
  .parts tr { grid-template-columns: repeat(4, auto); }
  .legend { grid-template-columns: 1fr; gap: 0; } .legend dd { margin: 0 0 .5rem; }
}
@media print { body { font-size: 10pt; } section { break-inside: avoid; } a { color: inherit; text-decoration: none; } }
"""

SYMBOLS = (  # as the claims write them; typeset
    ("C, N, P", "numbers of classes, of examples per class, and of dimensions of the features"),
    ("H, Hbar, H~", "features, P x CN; about their global mean; with a row of ones below, for the bias"),
    ("M, Mbar, mu_c, mu_G", "class means, P x C; about the global mean; of class c; the global mean"),
    (
        "Sigma_W, Sigma_B, Sigma_T",
        "covariance within classes, between class means, and total: Sigma_T = Sigma_W + Sigma_B",
    ),
    ("E", "deviations of the features from their class means"),
    (
        "SNR, omega_j, U, V",
        "signal-to-noise matrix Sigma_W^(-1/2) Mbar, its singular values, largest first, and vectors",
    ),
    ("X, x_j, Z", "renormalized features, Sigma_W = I; their rows in aligned coordinates; a direction of motion"),
    (
        "Y, y_j, Gamma",
        "one-hot targets, C x CN, and their rows in aligned coordinates; the class-centring matrix (I - Y^T "
        "Y/N)/(CN), which the paper prints as a bold C",
    ),
    ("Phi", "I - 11^T/C, the projection that takes the mean over classes away"),
    ("W, b, W~", "classifier, C x P; bias; both side by side. W_LS, b_LS and W~_LS are the least-squares ones"),
    ("pi_c, D", "share of the examples that class c has, 1/C for balanced classes; diag(pi)"),
    ("lambda", "weight decay of W~"),
    ("L = L_NC1 + L_NC2/3 + L_LS_perp", "the loss and its decomposition; L_LS = L_NC1 + L_NC2/3"),
    ("Pi", "projection onto the tangent space of the manifold Sigma_W = I: orthogonal, or that of Proposition 4"),
    (
        "t, k",
        "time of a flow; its exponent: 0 with the orthogonal projection (Riemannian), 1 with that of Proposition 4 "
        "(renormalized), 2 without renormalization",
    ),
    (
        "F_k, c_1, c_2, c_3, a_j",
        "the law of a flow, F_k(omega_j) = c_1 log omega_j + c_2 omega_j^2 + c_3 omega_j^4 = a_j + t",
    ),
    ("ETF", "equiangular tight frame: vectors of one length and one, largest, angle between any two"),
)
