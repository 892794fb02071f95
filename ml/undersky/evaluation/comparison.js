for (const swipe of document.querySelectorAll(".swipe")) {
  const line = swipe.querySelector("input");
  const move = () => swipe.style.setProperty("--at", line.value + "%");
  line.addEventListener("input", move);
  move();
}
