// If there is nothing to choose, the code is sent automatically; without JavaScript there is a
// button.
document.getElementById("login").requestSubmit();
