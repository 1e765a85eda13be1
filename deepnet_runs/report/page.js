"use strict";
// One chosen epoch for the page: legends show its values, which are read from the tables, and each plot has a line
// there. A panel that was not measured at it shows its nearest epoch.
(() => {
  const panels = [...document.querySelectorAll("figure")].map((figure) => {
    const rows = [...figure.querySelectorAll("tbody tr")];
    return {
      epochs: rows.map((row) => Number(row.cells[0].textContent)),
      rows,
      shown: figure.querySelector(".shown"),
      values: [...figure.querySelectorAll(".value")],
      plots: [...figure.querySelectorAll("svg.plot")].map((svg) => ({
        svg,
        x: svg.dataset.x.split(" ").map(Number),
        cursor: svg.querySelector(".cursor"),
      })),
    };
  });
  const nearest = (numbers, wanted) =>
    numbers.reduce((best, value, i) => (Math.abs(value - wanted) < Math.abs(numbers[best] - wanted) ? i : best), 0);
  const every = [...new Set(panels.flatMap((panel) => panel.epochs))].sort((a, b) => a - b);
  const slider = document.querySelector("#epoch");
  const output = document.querySelector("#epoch-shown");

  const show = (epoch) => {
    for (const { epochs, rows, shown, values, plots } of panels) {
      const i = nearest(epochs, epoch);
      shown.textContent = epochs[i];
      for (const value of values) value.textContent = rows[i].cells[Number(value.dataset.column) + 1].textContent;
      for (const { x, cursor } of plots) {
        cursor.setAttribute("x1", x[i]);
        cursor.setAttribute("x2", x[i]);
      }
    }
    slider.value = every.indexOf(epoch);
    slider.setAttribute("aria-valuetext", `epoch ${epoch}`);
    output.textContent = epoch;
  };

  for (const { epochs, plots } of panels) {
    for (const { svg, x } of plots) {
      const follow = (event) => {
        const box = svg.getBoundingClientRect();
        show(epochs[nearest(x, ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width)]);
      };
      svg.addEventListener("pointermove", follow);
      svg.addEventListener("pointerdown", follow);
    }
  }
  if (every.length) {
    slider.max = every.length - 1;
    slider.addEventListener("input", () => show(every[Number(slider.value)]));
    slider.parentElement.hidden = false;
    document.documentElement.classList.add("script");
    show(every[every.length - 1]);
  }
})();
