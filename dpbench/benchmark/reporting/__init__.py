"""What dpbench tells users: facts about plugins, model cards, commands of rows, and the content of the report."""
