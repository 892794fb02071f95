for (const swipe of document.querySelectorAll(".swipe")) {
  const line = swipe.querySelector("input");
  const move = () => {
    swipe.style.setProperty("--at", line.value + "%");
    line.setAttribute("aria-valuetext", line.value + " % before, the rest after");
  };
  line.addEventListener("input", move);
  move();
}
