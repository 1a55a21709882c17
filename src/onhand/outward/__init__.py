"""What people ask of channels: to be connected, shown, told anew, paused, explained."""
