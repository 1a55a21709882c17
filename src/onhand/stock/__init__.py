"""The pure middle: nouns, commands, refusals and the rules that join them. No I/O, no clock."""
