"""The call pool: a zygote forks call processes, and each runs its calls with pjsua2."""
