//! `CREATE`, `ALTER` and `DROP` of tasks and models.

use predictsql_catalog::{Column, ColumnKind, OptionValue, TaskInput, TaskKind};
use sqlparser::tokenizer::Token;

use super::cursor::{Cursor, unsupported};
use crate::Refusal;
use crate::ddl::statement::{Change, ClassesFrom, CreateModel, CreateTask};

/// Parses a change; `None` for other statements.
pub fn change(cursor: &mut Cursor<'_>) -> Result<Option<Change>, Refusal> {
    if cursor.accept("CREATE OR REPLACE") {
        return Err(unsupported(
            "CREATE OR REPLACE; drop it first, or create another version",
        ));
    }
    if cursor.accept("CREATE TASK") {
        return create_task(cursor).map(Some);
    }
    if cursor.accept("CREATE MODEL") {
        return create_model(cursor).map(Some);
    }
    if cursor.accept("DROP TASK") {
        let if_exists = cursor.accept("IF EXISTS");
        let name = cursor.name("a task's name")?;
        return Ok(Some(Change::DropTask { name, if_exists }));
    }
    if cursor.accept("DROP MODEL") {
        let if_exists = cursor.accept("IF EXISTS");
        let name = cursor.name("a model's name")?;
        let version = cursor.version()?;
        return Ok(Some(Change::DropModel {
            name,
            version,
            if_exists,
        }));
    }
    if cursor.accept("ALTER") {
        return alter(cursor).map(Some);
    }
    Ok(None)
}

fn create_task(cursor: &mut Cursor<'_>) -> Result<Change, Refusal> {
    let if_not_exists = cursor.accept("IF NOT EXISTS");
    let name = cursor.name("a task's name")?;
    let mut classes_from = None;
    let (mut classes, mut kind, mut input, mut options) = (None, None, None, None);
    loop {
        if classes.is_none() && cursor.accept("CLASSES") {
            classes_from = self::classes_from(cursor)?;
            classes = Some(match &classes_from {
                Some(_) => Vec::new(),
                None => cursor.strings("a class in quotes")?,
            });
        } else if kind.is_none() && cursor.accept("KIND") {
            kind = Some(task_kind(cursor)?);
        } else if input.is_none() && cursor.accept("INPUT") {
            input = Some(task_input(cursor)?);
        } else if options.is_none() && cursor.accept("OPTIONS") {
            options = Some(cursor.options()?);
        } else {
            break;
        }
    }
    let kind = kind.unwrap_or(TaskKind::Classification);
    if kind.answer_shape().has_classes() && classes.is_none() {
        return Err(cursor.syntax("CLASSES ('a', 'b', ...)"));
    }
    let classes = classes.unwrap_or_default();
    Ok(Change::CreateTask(CreateTask {
        name,
        if_not_exists,
        kind,
        input: input.unwrap_or(TaskInput::Image),
        classes,
        classes_from,
        options: options.unwrap_or_default(),
    }))
}

/// `FROM FILE 'f'` or `FROM MODEL 'm'`, if it is next.
fn classes_from(cursor: &mut Cursor<'_>) -> Result<Option<ClassesFrom>, Refusal> {
    if !cursor.accept("FROM") {
        return Ok(None);
    }
    if cursor.accept("FILE") {
        let file = cursor.string("the file's path in quotes")?;
        return Ok(Some(ClassesFrom::File(file)));
    }
    if cursor.accept("MODEL") {
        let model = cursor.string("the path of the model or its folder in quotes")?;
        return Ok(Some(ClassesFrom::Model(model)));
    }
    Err(cursor.syntax("FILE or MODEL"))
}

fn task_kind(cursor: &mut Cursor<'_>) -> Result<TaskKind, Refusal> {
    for kind in TaskKind::all() {
        if cursor.accept(kind.as_str()) {
            return Ok(*kind);
        }
    }
    for later in ["MULTILABEL", "DETECTION"] {
        if cursor.accept(later) {
            return Err(unsupported(&format!("tasks of KIND {later}")));
        }
    }
    let kinds: Vec<&str> = TaskKind::all().iter().map(|kind| kind.as_str()).collect();
    Err(cursor.syntax(&kinds.join(" or ")))
}

fn task_input(cursor: &mut Cursor<'_>) -> Result<TaskInput, Refusal> {
    if cursor.accept("IMAGE") {
        return Ok(TaskInput::Image);
    }
    if cursor.lexed.token(cursor.at) != Some(&Token::LParen) {
        return Err(cursor.syntax("IMAGE or (column DOUBLE, column VARCHAR, ...)"));
    }
    cursor.list(column).map(TaskInput::Columns)
}

fn column(cursor: &mut Cursor<'_>) -> Result<Column, Refusal> {
    let name = cursor.name("a column's name")?;
    let word = cursor.lexed.keyword(cursor.at).unwrap_or_default();
    let kind = ColumnKind::from_word(word);
    let kind = kind.ok_or_else(|| cursor.syntax("DOUBLE or VARCHAR"))?;
    cursor.at += 1;
    Ok(Column { name, kind })
}

fn create_model(cursor: &mut Cursor<'_>) -> Result<Change, Refusal> {
    let if_not_exists = cursor.accept("IF NOT EXISTS");
    let name = cursor.name("a model's name")?;
    cursor.expect("FOR TASK")?;
    let task = cursor.name("a task's name")?;
    cursor.expect("FROM")?;
    let uri = cursor.string("the model's path or URI in quotes")?;
    let (mut version, mut covers, mut options) = (None, None, None);
    loop {
        if version.is_none() && cursor.lexed.is_keyword(cursor.at, "VERSION") {
            version = cursor.version()?;
        } else if covers.is_none() && cursor.accept("COVERS") {
            covers = Some(cursor.strings("a class in quotes")?);
        } else if options.is_none() && cursor.accept("OPTIONS") {
            options = Some(cursor.options()?);
        } else {
            break;
        }
    }
    Ok(Change::CreateModel(CreateModel {
        name,
        if_not_exists,
        task,
        uri,
        version,
        covers,
        options: options.unwrap_or_default(),
    }))
}

/// Parses the rest after `ALTER`.
fn alter(cursor: &mut Cursor<'_>) -> Result<Change, Refusal> {
    if cursor.accept("TASK") {
        let name = cursor.name("a task's name")?;
        let options = settings(cursor)?;
        return Ok(Change::AlterTask { name, options });
    }
    cursor.expect("MODEL")?;
    let name = cursor.name("a model's name")?;
    let version = cursor.version()?;
    let options = settings(cursor)?;
    Ok(Change::AlterModel {
        name,
        version,
        options,
    })
}

/// `SET option = value, ...`
fn settings(cursor: &mut Cursor<'_>) -> Result<Vec<(String, OptionValue)>, Refusal> {
    cursor.expect("SET")?;
    let mut settings = Vec::new();
    loop {
        let setting = cursor.option(&settings)?;
        settings.push(setting);
        if !cursor.accept_token(&Token::Comma) {
            return Ok(settings);
        }
    }
}
