"""What a planned grid will be able to say, before anything is spent on it: `answer.power`."""
