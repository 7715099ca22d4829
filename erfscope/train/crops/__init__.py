"""From images and labels to the crops of each step."""
