'use strict';
// Tooltips for the mouse and for keyboard focus. Without this script a browser
// shows the marks' titles, and the tables have all values.
(() => {
  const tip = document.getElementById('tip');
  let shown = null;
  const hide = () => { tip.hidden = true; shown = null; };
  const show = (mark) => {
    shown = mark;
    tip.textContent = mark.dataset.tip;
    tip.hidden = false;
    const at = mark.getBoundingClientRect();
    const own = tip.getBoundingClientRect();
    const left = Math.min(Math.max(4, at.left + at.width / 2 - own.width / 2), innerWidth - own.width - 4);
    const above = at.top - own.height - 6;
    tip.style.left = left + 'px';
    tip.style.top = (above < 4 ? at.bottom + 6 : above) + 'px';
  };
  for (const mark of document.querySelectorAll('[data-tip]')) {
    const title = mark.querySelector('title');
    if (title) title.remove(); // or it would show twice
    if (!mark.hasAttribute('aria-label')) { // the title was its name
      mark.setAttribute('role', 'img');
      mark.setAttribute('aria-label', mark.dataset.tip);
    }
    mark.addEventListener('mouseenter', () => show(mark));
    mark.addEventListener('mouseleave', hide);
    mark.addEventListener('focus', () => show(mark));
    mark.addEventListener('blur', hide);
  }
  document.addEventListener('keydown', (e) => { if (e.key === 'Escape') hide(); });
  // Focus scrolls a mark into view, and its tooltip follows.
  addEventListener('scroll', () => { if (shown) show(shown); }, { passive: true });
})();
