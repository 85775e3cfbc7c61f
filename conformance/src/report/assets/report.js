'use strict';
// The search over the table of cases. The page says all without it.
const find = document.getElementById('find');
if (find) {
  const verdict = document.getElementById('verdict');
  const count = document.getElementById('count');
  const groups = [...document.querySelectorAll('.cases tbody')].map(body => ({
    body,
    name: body.rows[0].textContent.toLowerCase(),
    rows: [...body.rows].slice(1).map(row => ({ row, text: row.textContent.toLowerCase() })),
  }));
  const show = () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const group of groups) {
      let some = false;
      for (const { row, text } of group.rows) {
        const fits = words.every(w => text.includes(w) || group.name.includes(w));
        row.hidden = !(fits && (!verdict.value || row.dataset.v === verdict.value));
        if (!row.hidden) { some = true; shown += 1; }
      }
      group.body.hidden = !some;
    }
    count.textContent = `${shown} shown`;
  };
  find.addEventListener('input', show);
  verdict.addEventListener('change', show);
  show();
}
