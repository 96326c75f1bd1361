// The density of the agents table, stored in this browser. A classic script in the head: the rows
// have their height before they are drawn, so that nothing jumps.

{
  const KEY = "hive-density";
  const root = document.documentElement;
  const isCompact = () => root.dataset.density === "compact";

  root.dataset.density = localStorage.getItem(KEY) ?? "compact";
  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("density");
    const say = () => button.setAttribute("aria-pressed", isCompact());
    button.hidden = false;
    say();
    button.addEventListener("click", () => {
      root.dataset.density = isCompact() ? "comfortable" : "compact";
      localStorage.setItem(KEY, root.dataset.density);
      say();
    });
  });
}
